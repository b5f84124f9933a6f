// Products of pairs of bfloat16, and rounding to bfloat16. With AVX512_BF16 they are instructions; without it
// the same operations with AVX-512, bit for bit, but for subnormal numbers, which those instructions replace
// by zeros. Included only by isa_avx512*.cc.
#pragma once

#include <immintrin.h>

#include <climits>
#include <cstdint>
#include <cstring>

#include "server/backend/cpu/vec.h"
#include "server/backend/cpu/wide_lanes.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

#ifdef __AVX512BF16__

VARSERVE_INLINE __m512bh PairsOf(__m512i bits) { return reinterpret_cast<__m512bh>(bits); }
VARSERVE_INLINE __m256bh PairsOf(__m256i bits) { return reinterpret_cast<__m256bh>(bits); }

// sum + a[1] b[1] + a[0] b[0] in each lane
VARSERVE_INLINE __m512 AddProducts(__m512 sum, __m512bh a, __m512bh b) { return _mm512_dpbf16_ps(sum, a, b); }
VARSERVE_INLINE __m256 AddProducts(__m256 sum, __m256bh a, __m256bh b) { return _mm256_dpbf16_ps(sum, a, b); }

VARSERVE_INLINE __m256i RoundToBFloat16(__m512 x) { return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)); }
VARSERVE_INLINE __m512i RoundToBFloat16(__m512 high, __m512 low) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

// Inputs [ROWS, pairs, 2], rows x_stride apart, read where they are.
template <int ROWS>
class TileInputs {
 public:
  static constexpr int kMostPairs = INT_MAX;
  [[gnu::always_inline]] TileInputs(const uint16_t* x, int64_t x_stride, int /*pairs*/)
      : x_(x), x_stride_(x_stride) {}
  // In every lane.
  [[gnu::always_inline]] __m512bh Pair(int row, int k) const {
    int32_t pair;
    std::memcpy(&pair, x_ + row * x_stride_ + 2 * k, sizeof(pair));
    return PairsOf(_mm512_set1_epi32(pair));
  }

 private:
  const uint16_t* x_;
  int64_t x_stride_;
};

#else

// Both of each pair as float32.
struct WidePairs {
  __m512 odd, even;
};
struct WidePairs8 {
  __m256 odd, even;
};

// The odd ones by a mask, not by an operation with a constant, for which Tile has no register left.
VARSERVE_INLINE WidePairs PairsOf(__m512i bits) {
  return {_mm512_castsi512_ps(_mm512_maskz_mov_epi16(0xaaaaaaaa, bits)),
          _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16))};
}
VARSERVE_INLINE WidePairs8 PairsOf(__m256i bits) {
  return {_mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(-0x10000))),
          _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16))};
}

VARSERVE_INLINE __m512 AddProducts(__m512 sum, const WidePairs& a, const WidePairs& b) {
  return _mm512_fmadd_ps(a.even, b.even, _mm512_fmadd_ps(a.odd, b.odd, sum));
}
VARSERVE_INLINE __m256 AddProducts(__m256 sum, const WidePairs8& a, const WidePairs8& b) {
  return _mm256_fmadd_ps(a.even, b.even, _mm256_fmadd_ps(a.odd, b.odd, sum));
}

// To nearest, ties to even; NaN stays NaN.
VARSERVE_INLINE __m256i RoundToBFloat16(__m512 x) {
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i cut = _mm512_srli_epi32(bits, 16);
  const __m512i half =
      _mm512_add_epi32(_mm512_and_si512(cut, _mm512_set1_epi32(1)), _mm512_set1_epi32(0x7fff));
  const __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, half), 16);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_mask_or_epi32(rounded, nan, cut, _mm512_set1_epi32(0x40)));
}
VARSERVE_INLINE __m512i RoundToBFloat16(__m512 high, __m512 low) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(RoundToBFloat16(low)), RoundToBFloat16(high), 1);
}

// Inputs [ROWS, pairs, 2], rows x_stride apart with zeros up to whole vectors. They are widened once, in the
// L1 cache: from there a load puts one into every lane, while the units that multiply would widen it.
template <int ROWS>
class TileInputs {
 public:
  static constexpr int kMostPairs = 1024 / ROWS / kWide * kWide;  // 8 KB
  [[gnu::always_inline]] TileInputs(const uint16_t* x, int64_t x_stride, int pairs) {
    for (int i = 0; i < ROWS; ++i) {
      for (int k = 0; k < pairs; k += kWide) {
        const WidePairs wide = PairsOf(_mm512_loadu_si512(x + i * x_stride + 2 * k));
        _mm512_store_ps(odd_[i] + k, wide.odd);
        _mm512_store_ps(even_[i] + k, wide.even);
      }
    }
  }
  // In every lane.
  [[gnu::always_inline]] WidePairs Pair(int row, int k) const {
    return {_mm512_set1_ps(odd_[row][k]), _mm512_set1_ps(even_[row][k])};
  }

 private:
  alignas(64) float odd_[ROWS][kMostPairs];
  alignas(64) float even_[ROWS][kMostPairs];
};

#endif

}  // namespace varserve::backend::cpu::VARSERVE_ISA
