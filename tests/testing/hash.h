// Values that look random and depend on all arguments.
#pragma once

#include <cstdint>

namespace varserve::testing {

template <typename... Values>
inline uint64_t Hash(Values... values) {
  uint64_t hash = 0x9e3779b97f4a7c15;
  for (const uint64_t value : {static_cast<uint64_t>(values)...}) {
    hash = (hash ^ value) * 0xff51afd7ed558ccd;
    hash ^= hash >> 32;
    hash *= 0xc4ceb9fe1a85ec53;
    hash ^= hash >> 29;
  }
  return hash;
}

inline float Unit(uint64_t hash) {
  return static_cast<float>(hash >> 40) / static_cast<float>(1 << 24);
}  // [0, 1)

}  // namespace varserve::testing
