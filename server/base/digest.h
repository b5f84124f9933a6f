// SHA-256 digests of content. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>

#include "absl/strings/string_view.h"

namespace varserve {

using Digest = std::array<uint8_t, 32>;

// Of the concatenated pieces.
Digest Sha256(std::initializer_list<absl::string_view> pieces);

// Of 64 hexadecimal digits, in either case; none of anything else.
std::optional<Digest> DigestFromHex(absl::string_view hex);

inline absl::string_view BytesOf(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace varserve
