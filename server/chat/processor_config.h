// Does what processor_config.json says of a picture's tokens agree with the model? transformers refuses every
// request with a picture where it does not. Thread-safe.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "server/image/image_processor.h"
#include "server/text/prompt_builder.h"
#include "server/text/tokenizer.h"

namespace varserve::chat {

// FAILED_PRECONDITION naming file and field where the processor is another than LlavaProcessor, where its
// image token is not the model's (`layout`), and where it makes more or fewer tokens of a picture than the
// vision tower. What it does not say is taken from config.json.
absl::Status CheckProcessorConfig(const std::filesystem::path& model_dir,
                                  const image::ImageProcessor& image_processor,
                                  const text::Tokenizer& tokenizer, const text::ImageLayout& layout);

}  // namespace varserve::chat
