#include "server/preprocess/preprocessor.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace varserve::preprocess {

absl::StatusOr<std::unique_ptr<const Preprocessor>> Preprocessor::Load(const std::filesystem::path& model_dir,
                                                                       const ImageLayout& image_layout) {
  ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(model_dir, image_layout.token_id));
  ASSIGN_OR_RETURN(ChatTemplate chat_template, ChatTemplate::Load(model_dir));
  ASSIGN_OR_RETURN(const ImageProcessor image_processor, ImageProcessor::Load(model_dir));
  auto preprocessor = absl::WrapUnique(
      new const Preprocessor(std::move(tokenizer), std::move(chat_template), image_processor, image_layout));
  // Templates are only found out to be wrong when they are used: better now than at the first request.
  const absl::StatusOr<Prompt> prompt = preprocessor->prompt_builder().Build(
      {{Role::kUser, {ImagePart(), "What is this?"}}}, {std::make_shared<const ProcessedImage>()});
  if (!prompt.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "chat template: it cannot be used with an image and a question: ", prompt.status().message()));
  }
  return preprocessor;
}

Preprocessor::Preprocessor(Tokenizer tokenizer, ChatTemplate chat_template,
                           const ImageProcessor& image_processor, const ImageLayout& image_layout)
    : tokenizer_(std::move(tokenizer)),
      chat_template_(std::move(chat_template)),
      image_processor_(image_processor),
      prompt_builder_(&tokenizer_, &chat_template_, image_layout) {}

absl::StatusOr<int64_t> Preprocessor::ImageMemory(absl::string_view bytes, const ImageLimits& limits) const {
  ASSIGN_OR_RETURN(const ImageInfo info, ReadImageInfo(bytes, limits));
  ASSIGN_OR_RETURN(const ImageProcessor::Plan plan,
                   image_processor_.MakePlan(info.width, info.height, info.orientation));
  return info.decode_bytes + plan.bytes;
}

absl::StatusOr<std::shared_ptr<const ProcessedImage>> Preprocessor::ProcessImage(
    absl::string_view bytes, const ImageLimits& limits, Stop stop, ByteBudget::Lease memory) const {
  ASSIGN_OR_RETURN(const ImageInfo info, ReadImageInfo(bytes, limits));
  ASSIGN_OR_RETURN(const ImageProcessor::Plan plan,
                   image_processor_.MakePlan(info.width, info.height, info.orientation));
  ASSIGN_OR_RETURN(ProcessedImage processed, image_processor_.Process(plan, [&](RowSink& rows) {
    return DecodeImage(bytes, rows, stop);
  }));
  processed.memory = std::move(memory);
  return std::make_shared<const ProcessedImage>(std::move(processed));
}

}  // namespace varserve::preprocess
