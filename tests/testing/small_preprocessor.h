// Preprocessors of the directories in tests/golden/text, which have no model. Thread-safe.
#pragma once

#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "server/chat/preprocessor.h"

namespace varserve::testing {

// Every image has `visual_tokens`, and a grid of 2 x 2 at their end.
absl::StatusOr<std::unique_ptr<const chat::Preprocessor>> LoadPreprocessor(const std::filesystem::path& dir,
                                                                           int vocabulary,
                                                                           int visual_tokens = 4);

// For tests that need one, whichever it is: tests/golden/text/llama.
inline constexpr int kSmallVocabulary = 1100;
std::unique_ptr<const chat::Preprocessor> LoadSmallPreprocessor();

}  // namespace varserve::testing
