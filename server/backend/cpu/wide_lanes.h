// Vectors of sixteen floats. Included only by isa_avx512*.cc.
#pragma once

#include <immintrin.h>

namespace varserve::backend::cpu::VARSERVE_ISA {

inline constexpr int kWide = 16;  // lanes

// Mask of the first `count` lanes: all if there are more, none below 1.
[[gnu::always_inline]] static inline __mmask16 FirstLanes(int count) {
  if (count >= kWide) return 0xffff;
  return count <= 0 ? 0 : static_cast<__mmask16>((1U << count) - 1);
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
