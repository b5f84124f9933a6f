#include "client/commands/picture_question.h"

#include <algorithm>
#include <utility>

#include "client/cli/input_file.h"
#include "client/cli/text_layout.h"

namespace varserve::cli {
namespace {

constexpr int kMostArguments = 10'000;

}  // namespace

PictureQuestion::PictureQuestion(CLI::App& app) {
  app.add_option("IMAGE... QUESTION", arguments_,
                 "JPEG, PNG or WebP files, - for standard input; then the question")
      ->required()
      ->type_name("")
      // However many there are, each as it is: a vector's usual way splits "[a, b]", which a question may be.
      ->expected(kMostArguments)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

absl::Status PictureQuestion::Read() {
  if (arguments_.size() < 2)
    return absl::InvalidArgumentError("QUESTION: is missing; give it after the pictures");
  question_ = std::move(arguments_.back());
  arguments_.pop_back();
  if (!IsUtf8(question_)) return absl::InvalidArgumentError("QUESTION: is not UTF-8");
  if (std::count(arguments_.begin(), arguments_.end(), "-") > 1) {
    return absl::InvalidArgumentError("IMAGE: only one of the pictures can be -, standard input");
  }
  for (const std::string& path : arguments_) {
    absl::StatusOr<std::string> image = ReadInput(path);
    if (!image.ok()) return image.status();
    images_.push_back(*std::move(image));
  }
  return absl::OkStatus();
}

v1::Message PictureQuestion::message() const {
  v1::Message message;
  message.set_role(v1::ROLE_USER);
  for (const std::string& image : images_) message.add_parts()->mutable_image()->set_data(image);
  message.add_parts()->set_text(question_);
  return message;
}

}  // namespace varserve::cli
