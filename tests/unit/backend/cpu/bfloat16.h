// bfloat16 by its definition.
#pragma once

#include <cstdint>
#include <cstring>

namespace varserve::backend::cpu {

// Nearest, ties to even.
inline uint16_t BFloat16Bits(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline float FromBFloat16(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

}  // namespace varserve::backend::cpu
