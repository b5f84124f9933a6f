// Carries marks on single characters through the rendering of a chat template: a marked character stays
// marked wherever the template puts it, however it trims, splits or joins text. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace varserve::text {

// `text` with a mark before each character that starts at one of `offsets` (bytes, ascending). A text without
// marks does not change unless it contains the character that marks are made of.
std::string AddMarks(absl::string_view text, absl::Span<const uint32_t> offsets);

struct UnmarkedText {
  std::string text;
  std::vector<uint32_t> offsets;  // where the marked characters start, ascending
};

UnmarkedText TakeMarks(absl::string_view text);

}  // namespace varserve::text
