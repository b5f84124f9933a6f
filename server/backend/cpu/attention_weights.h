// The softmax of dense attention, with AVX-512. Included only by isa_avx512*.cc.
#pragma once

#include <immintrin.h>

#include <cstring>

#include "server/backend/cpu/pair_products.h"
#include "server/backend/cpu/vec.h"
#include "server/backend/cpu/wide_lanes.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// 2^x for x <= 0, within 2e-7 of itself; NaN for NaN.
static inline __m512 Exp2(__m512 exponent) {
  const __m512 x =
      _mm512_max_ps(_mm512_set1_ps(-200.0F), exponent);  // below any number; the second if it is NaN
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(x, n);
  // The Taylor series to degree 6.
  __m512 poly = _mm512_set1_ps(1.5403530e-4F);
  for (const float c : {1.3333558e-3F, 9.6181291e-3F, 5.5504109e-2F, 2.4022651e-1F, 6.9314718e-1F, 1.0F})
    poly = _mm512_fmadd_ps(poly, r, _mm512_set1_ps(c));
  return _mm512_scalef_ps(poly, n);
}

// Both halves of a vector, combined lane by lane.
template <typename Combine>
VARSERVE_INLINE Vec Folded(__m512 x, const Combine& combine) {
  float lanes[2 * kLanes];
  std::memcpy(lanes, &x, sizeof(x));
  return combine(Load(lanes), Load(lanes + kLanes));
}

static float AttentionWeights(const float* scores, int count, float scale, int padded, float* packed) {
  const auto valid = [count](int j) { return FirstLanes(count - j); };
  __m512 largest = _mm512_set1_ps(-__builtin_inff());
  for (int j = 0; j < count; j += kWide)
    largest = _mm512_mask_max_ps(largest, valid(j), largest, _mm512_maskz_loadu_ps(valid(j), scores + j));
  const __m512 top = _mm512_set1_ps(MaxLane(Folded(largest, Max)));
  const __m512 factor = _mm512_set1_ps(scale * 1.44269504F);
  __m512 total = _mm512_setzero_ps();
  const auto weights = [&](int j) {
    const __m512 score = _mm512_maskz_loadu_ps(valid(j), scores + j);
    const __m512 weight =
        _mm512_maskz_mov_ps(valid(j), Exp2(_mm512_mul_ps(_mm512_sub_ps(score, top), factor)));
    total = _mm512_add_ps(total, weight);
    return weight;
  };
  auto* to = reinterpret_cast<uint16_t*>(packed);
  int j = 0;
  for (; j < count; j += 2 * kWide) {
    const __m512 low = weights(j);
    const __m512i both = RoundToBFloat16(weights(j + kWide), low);
    std::memcpy(to + j, &both, sizeof(both));
  }
  if (j < padded) std::memset(to + j, 0, (padded - j) * sizeof(uint16_t));
  return Sum(Folded(total, [](Vec a, Vec b) { return a + b; }));
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
