#include "server/chat/preprocessor.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace varserve::chat {
namespace {

constexpr int64_t kProbeTokens = 1 << 20;  // more than any

}  // namespace

absl::StatusOr<std::unique_ptr<const Preprocessor>> Preprocessor::Load(
    const std::filesystem::path& model_dir, text::Tokenizer tokenizer,
    std::unique_ptr<const image::ImageProcessor> image_processor, const ImageToken& image_token,
    int vocabulary) {
  ASSIGN_OR_RETURN(text::ChatTemplate chat_template,
                   text::ChatTemplate::Load(model_dir, tokenizer.named_tokens()));
  ASSIGN_OR_RETURN(text::ImagePlaceholder placeholder,
                   FindImagePlaceholder(model_dir, tokenizer, image_token));
  placeholder.least_tokens = image_processor->smallest().layout->size();
  auto preprocessor = absl::WrapUnique(new const Preprocessor(
      std::move(tokenizer), std::move(chat_template), std::move(image_processor), placeholder, vocabulary));
  RETURN_IF_ERROR(preprocessor->TryPrompts());
  return preprocessor;
}

Preprocessor::Preprocessor(text::Tokenizer tokenizer, text::ChatTemplate chat_template,
                           std::unique_ptr<const image::ImageProcessor> image_processor,
                           const text::ImagePlaceholder& placeholder, int vocabulary)
    : tokenizer_(std::move(tokenizer)),
      chat_template_(std::move(chat_template)),
      image_processor_(std::move(image_processor)),
      prompt_builder_(&tokenizer_, &chat_template_, placeholder, vocabulary) {}

absl::Status Preprocessor::TryPrompts() const {
  const auto unusable = [](absl::string_view use, absl::string_view problem) {
    return absl::FailedPreconditionError(
        absl::StrCat("chat template: it cannot be used with ", use, ": ", problem));
  };
  // A question about an image must work, and not come out as a list of its parts.
  const std::string text = "what's \"this\"?";
  const text::Message question = {text::Role::kUser, {text::ImagePart(), text}};
  const absl::StatusOr<std::string> rendered = chat_template_.Render({question});
  const auto image =
      std::make_shared<const ProcessedImage>(ProcessedImage{.layout = image_processor_->smallest().layout});
  const absl::StatusOr<Prompt> prompt = prompt_builder_.Build({question}, {image});
  if (!prompt.ok()) return unusable("an image and a question", prompt.status().message());
  const bool is_list = absl::StrContains(*rendered, "'type'") || absl::StrContains(*rendered, "\"type\"");
  if (is_list && !absl::StrContains(*rendered, text)) {
    return unusable("an image and a question",
                    absl::StrCat("it writes them as a list, not the question as it is: ",
                                 absl::CHexEscape(rendered->substr(0, 300))));
  }
  // Other conversations a template may refuse, but what it does write must be tokens of the model.
  const text::Message user = {text::Role::kUser, {"Hello."}};
  const std::vector<text::Message> conversations[] = {
      {user}, {{text::Role::kSystem, {"Be brief."}}, user}, {user, {text::Role::kAssistant, {"Yes?"}}, user}};
  for (const std::vector<text::Message>& conversation : conversations) {
    if (!chat_template_.Render(conversation).ok()) continue;
    const absl::Status status = prompt_builder_.TokenIds(conversation, kProbeTokens).status();
    if (!status.ok()) return unusable("a conversation", status.message());
  }
  return absl::OkStatus();
}

absl::StatusOr<Preprocessor::ImageMemory> Preprocessor::MeasureImage(absl::string_view bytes,
                                                                     const image::ImageLimits& limits,
                                                                     int num_images) const {
  ASSIGN_OR_RETURN(const image::ImageInfo info, image::ReadImageInfo(bytes, limits));
  ASSIGN_OR_RETURN(const image::ImageProcessor::Plan plan,
                   image_processor_->For(num_images).MakePlan(info.width, info.height, info.orientation));
  return ImageMemory{.peak = info.decode_bytes + plan.bytes, .kept = plan.image_bytes};
}

absl::StatusOr<std::shared_ptr<const ProcessedImage>> Preprocessor::ProcessImage(
    absl::string_view bytes, const image::ImageLimits& limits, Stop stop, int num_images) const {
  const image::ImageProcessor& processor = image_processor_->For(num_images);
  ASSIGN_OR_RETURN(const image::ImageInfo info, image::ReadImageInfo(bytes, limits));
  ASSIGN_OR_RETURN(const image::ImageProcessor::Plan plan,
                   processor.MakePlan(info.width, info.height, info.orientation));
  ASSIGN_OR_RETURN(ProcessedImage processed, processor.Process(plan, [&](image::RowSink& rows) {
    return image::DecodeImage(bytes, rows, stop);
  }));
  return std::make_shared<const ProcessedImage>(std::move(processed));
}

Digest Preprocessor::KeyOf(const Digest& file, int num_images) const {
  const bool alike = &image_processor_->For(num_images) == &image_processor_->For(1);
  return alike ? file : Sha256({BytesOf(file), "one of several"});
}

}  // namespace varserve::chat
