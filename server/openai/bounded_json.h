// Parses JSON that a stranger sent, within bounds: values take many times the memory of their text.
// Thread-safe.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace varserve::openai {

inline constexpr int kMaxJsonDepth = 64;
inline constexpr int kMaxJsonValues = 64 << 10;

// INVALID_ARGUMENT beginning with "request" if the text is not JSON, or nests deeper or holds more values
// than that.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text);

}  // namespace varserve::openai
