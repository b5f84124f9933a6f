#include "server/preprocess/preprocessor.h"

#include <utility>

#include "absl/memory/memory.h"
#include "server/base/status_macros.h"

namespace varserve::preprocess {

absl::StatusOr<std::unique_ptr<const Preprocessor>> Preprocessor::Load(const std::filesystem::path& model_dir,
                                                                       const ImageLayout& image_layout) {
  ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(model_dir, image_layout.token_id));
  ASSIGN_OR_RETURN(ChatTemplate chat_template, ChatTemplate::Load(model_dir));
  ASSIGN_OR_RETURN(const ImageProcessor image_processor, ImageProcessor::Load(model_dir));
  return absl::WrapUnique(
      new const Preprocessor(std::move(tokenizer), std::move(chat_template), image_processor, image_layout));
}

Preprocessor::Preprocessor(Tokenizer tokenizer, ChatTemplate chat_template,
                           const ImageProcessor& image_processor, const ImageLayout& image_layout)
    : tokenizer_(std::move(tokenizer)),
      chat_template_(std::move(chat_template)),
      image_processor_(image_processor),
      prompt_builder_(&tokenizer_, &chat_template_, image_layout) {}

absl::StatusOr<std::shared_ptr<const ProcessedImage>> Preprocessor::ProcessImage(
    absl::string_view bytes, const ImageLimits& limits) const {
  ASSIGN_OR_RETURN(const RgbImage image, DecodeImage(bytes, limits));
  ASSIGN_OR_RETURN(ProcessedImage processed, image_processor_.Process(image));
  return std::make_shared<const ProcessedImage>(std::move(processed));
}

}  // namespace varserve::preprocess
