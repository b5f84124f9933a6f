// Whether processor and tokenizer agree with the model on the image placeholder. transformers refuses every
// request with a picture if they do not. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>

#include "absl/status/statusor.h"
#include "server/text/prompt_builder.h"
#include "server/text/tokenizer.h"

namespace varserve::chat {

// The image placeholder: config.json's, and what the family's processor writes if no file names another one.
struct ImageToken {
  int32_t id = 0;
  const char* text = "";             // empty: tokenizer_config.json must name it
  const char* name = "image_token";  // in tokenizer_config.json
  // Names of the tokens that the processor writes before and after an image's tokens. Empty: none.
  const char* start_name = "";
  const char* end_name = "";
};

// FAILED_PRECONDITION naming file and field if the processor's image token is not config.json's, or if the
// tokenizer has no token that the processor needs.
absl::StatusOr<text::ImagePlaceholder> FindImagePlaceholder(const std::filesystem::path& model_dir,
                                                            const text::Tokenizer& tokenizer,
                                                            const ImageToken& image_token);

}  // namespace varserve::chat
