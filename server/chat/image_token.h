// Whether processor and tokenizer agree with the model on the image placeholder. transformers refuses every
// request with a picture if they do not. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>

#include "absl/status/status.h"
#include "server/text/tokenizer.h"

namespace varserve::chat {

// The image placeholder: config.json's, and what the family's processor writes if no file names another one.
struct ImageToken {
  int32_t id = 0;
  const char* text = "";
};

// FAILED_PRECONDITION naming processor_config.json and its field if the processor's image token is not
// config.json's.
absl::Status CheckImageToken(const std::filesystem::path& model_dir, const text::Tokenizer& tokenizer,
                             const ImageToken& image_token);

}  // namespace varserve::chat
