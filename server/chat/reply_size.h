// Size limits of a reply's messages: below the 4 MiB that gRPC's clients accept by default, at the default
// --max_map_bytes.
//
//   Delta     kMaxDeltaBytes, and what one token adds
//   Finished  kMaxAnswerBytes + Limits.max_map_bytes, and less than a kilobyte
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace varserve::chat {

inline constexpr size_t kMaxDeltaBytes = 1 << 20;
// Of a Finished without maps: text first, then layers, visual sinks and tokens.
inline constexpr size_t kMaxAnswerBytes = (2 << 20) - (64 << 10);
inline constexpr size_t kMaxTextBytes = 1 << 20;

// The longest valid UTF-8 prefix that a Finished may hold.
inline absl::string_view Shortened(absl::string_view text) {
  if (text.size() <= kMaxTextBytes) return text;
  size_t end = kMaxTextBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace varserve::chat
