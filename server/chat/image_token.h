// Whether processor and tokenizer agree with the model on the image placeholder. transformers refuses every
// request with a picture if they do not. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>

#include "absl/status/status.h"
#include "server/text/tokenizer.h"

namespace varserve::chat {

// FAILED_PRECONDITION naming processor_config.json and its field if its image token, by default "<image>", is
// not config.json's.
absl::Status CheckImageToken(const std::filesystem::path& model_dir, const text::Tokenizer& tokenizer,
                             int32_t image_token_id);

}  // namespace varserve::chat
