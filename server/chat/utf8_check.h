// Whether bytes that arrive in pieces are UTF-8. Thread-compatible.
#pragma once

#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"

namespace varserve::chat {

class Utf8Check {
 public:
  // False from the first byte on that cannot belong to UTF-8.
  bool Add(absl::string_view bytes) {
    const char* p = bytes.data();
    const char* const end = p + bytes.size();
    while (p < end && valid_) {
      uint64_t eight = 0;
      if (missing_ == 0 && end - p >= 8 && (std::memcpy(&eight, p, 8), (eight & 0x8080808080808080) == 0)) {
        p += 8;
      } else {
        Add(static_cast<unsigned char>(*p++));
      }
    }
    return valid_;
  }
  // Whether the bytes so far end with a whole character.
  bool Whole() const { return valid_ && missing_ == 0; }

 private:
  void Add(unsigned char byte) {
    if (missing_ > 0) {
      valid_ = byte >= low_ && byte <= high_;
      --missing_;
      low_ = 0x80;
      high_ = 0xbf;
      return;
    }
    if (byte < 0x80) return;
    missing_ = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
    valid_ = byte >= 0xc2 && byte <= 0xf4;
    // The range of the second byte: excludes overlong forms, surrogates, and code points above U+10FFFF.
    low_ = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    high_ = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
  }

  bool valid_ = true;
  int missing_ = 0;  // bytes of the character that has begun
  unsigned char low_ = 0x80;
  unsigned char high_ = 0xbf;
};

}  // namespace varserve::chat
