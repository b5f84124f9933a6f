// Does what processor_config.json says of a picture's tokens agree with the model? transformers refuses every
// request with a picture where it does not. Thread-safe.
#pragma once

#include <filesystem>

#include "absl/status/status.h"
#include "server/preprocess/image_processor.h"
#include "server/preprocess/prompt_builder.h"
#include "server/preprocess/tokenizer.h"

namespace varserve::preprocess {

// FAILED_PRECONDITION naming file and field where the processor is another than LlavaProcessor, where its
// image token is not the model's (`layout`), and where it makes more or fewer tokens of a picture than the
// vision tower. What it does not say is taken from config.json.
absl::Status CheckProcessorConfig(const std::filesystem::path& model_dir,
                                  const ImageProcessor& image_processor, const Tokenizer& tokenizer,
                                  const ImageLayout& layout);

}  // namespace varserve::preprocess
