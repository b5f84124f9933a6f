#include "tools/calibrate/prompts.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/status_macros.h"
#include "tools/calibrate/samples.h"

namespace varserve::calibrate {
namespace {

using Images = std::vector<std::shared_ptr<const ProcessedImage>>;

absl::StatusOr<Images> ReadImages(const chat::Preprocessor& preprocessor, const std::string& folder) {
  static const std::set<std::string> kExtensions = {".jpg", ".jpeg", ".png", ".webp"};
  std::error_code error;
  std::vector<std::filesystem::path> paths;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (kExtensions.contains(absl::AsciiStrToLower(entry->path().extension().string()))) {
      paths.push_back(entry->path());
    }
  }
  if (error) return absl::InvalidArgumentError(absl::StrCat("--images: ", folder, ": ", error.message()));
  if (paths.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--images: ", folder, " holds no .jpg, .png or .webp files"));
  }
  std::sort(paths.begin(), paths.end());
  Images images;
  for (const std::filesystem::path& path : paths) {
    std::ifstream file(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    auto image = preprocessor.ProcessImage(bytes, {}, NeverStop);
    if (!image.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("--images: ", path.string(), ": ",
                                                     absl::StripPrefix(image.status().message(), "image: ")));
    }
    images.push_back(*std::move(image));
  }
  return images;
}

absl::StatusOr<Images> OwnImages(const chat::Preprocessor& preprocessor) {
  Images images;
  for (const image::RgbImage& picture : SamplePictures()) {
    ASSIGN_OR_RETURN(ProcessedImage image, preprocessor.image_processor().Process(picture));
    images.push_back(std::make_shared<const ProcessedImage>(std::move(image)));
  }
  return images;
}

absl::StatusOr<std::vector<std::string>> ReadQuestions(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> questions;
  for (std::string line; std::getline(file, line);) {
    const absl::string_view question = absl::StripAsciiWhitespace(line);
    if (!question.empty()) questions.emplace_back(question);
  }
  if (questions.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--prompts: ", path, " cannot be read or is empty; it has one question a line"));
  }
  return questions;
}

}  // namespace

absl::StatusOr<PromptSet> MakePrompts(const chat::Preprocessor& preprocessor, const std::string& images,
                                      const std::string& questions, int context) {
  ASSIGN_OR_RETURN(const Images pictures,
                   images.empty() ? OwnImages(preprocessor) : ReadImages(preprocessor, images));
  std::vector<std::string> texts = SampleQuestions();
  if (!questions.empty()) {
    ASSIGN_OR_RETURN(texts, ReadQuestions(questions));
  }
  PromptSet set;
  for (size_t i = 0; i < std::max(pictures.size(), texts.size()); ++i) {
    const text::Message message{text::Role::kUser, {text::ImagePart{}, texts[i % texts.size()]}};
    absl::StatusOr<Prompt> prompt =
        preprocessor.prompt_builder().Build({&message, 1}, {pictures[i % pictures.size()]}, context);
    if (!prompt.ok()) {
      return absl::Status(prompt.status().code(), absl::StrCat("--prompts: question ", i % texts.size() + 1,
                                                               ": ", prompt.status().message()));
    }
    set.prompts.push_back(std::make_shared<const Prompt>(*std::move(prompt)));
  }
  const auto count = [](size_t n, absl::string_view what, bool own) {
    return absl::StrCat(n, " ", what, own ? " of its own" : "");
  };
  set.description = absl::StrCat(count(pictures.size(), "pictures", images.empty()), ", ",
                                 count(texts.size(), "questions", questions.empty()));
  return set;
}

}  // namespace varserve::calibrate
