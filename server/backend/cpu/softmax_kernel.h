// Softmax over logits in double precision, for sampling. Included only by isa_*.cc.
#pragma once

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

#ifdef __AVX512F__
inline constexpr int kDoubleLanes = 8;
#else
inline constexpr int kDoubleLanes = 4;
#endif
typedef double DoubleVec __attribute__((vector_size(8 * kDoubleLanes)));
typedef int64_t LongVec __attribute__((vector_size(8 * kDoubleLanes)));
typedef float HalfFloatVec __attribute__((vector_size(4 * kDoubleLanes)));

VARSERVE_INLINE DoubleVec Widen(const float* p) {
#ifdef __AVX512F__  // compilers use five instructions for the conversion below
  return reinterpret_cast<DoubleVec>(_mm512_cvtps_pd(_mm256_loadu_ps(p)));
#elif defined(__AVX2__)
  return reinterpret_cast<DoubleVec>(_mm256_cvtps_pd(_mm_loadu_ps(p)));
#else
  HalfFloatVec narrow;
  std::memcpy(&narrow, p, sizeof(narrow));
  return __builtin_convertvector(narrow, DoubleVec);
#endif
}

// e^x within 2 ulp for x <= 0; 0 below -708, where results would be subnormal. Cody-Waite reduction and the
// Taylor series to degree 13, whose error is below the last bit.
VARSERVE_INLINE DoubleVec ExpDouble(DoubleVec x) {
  const DoubleVec least = DoubleVec{} - 708.0;
  const DoubleVec clamped = x < least ? least : x;
  const DoubleVec shifter = DoubleVec{} + 0x1.8p52;  // adding it rounds to an integer
  const DoubleVec shifted = clamped * 1.4426950408889634 + shifter;
  const DoubleVec n = shifted - shifter;
  DoubleVec r = clamped - n * 6.93147180369123816490e-01;  // its product with n is exact
  r = r - n * 1.90821492927058770002e-10;
  const DoubleVec r2 = r * r;
  const DoubleVec r4 = r2 * r2;
  // Pairs of terms, then pairs of pairs, because one long chain would be limited by latency.
  const DoubleVec high =
      (r * (1.0 / 6227020800.0) + 1.0 / 479001600.0) * r2 + (r * (1.0 / 39916800.0) + 1.0 / 3628800.0);
  const DoubleVec middle = (r * (1.0 / 362880.0) + 1.0 / 40320.0) * r2 + (r * (1.0 / 5040.0) + 1.0 / 720.0);
  const DoubleVec low = (r * (1.0 / 120.0) + 1.0 / 24.0) * r2 + (r * (1.0 / 6.0) + 0.5);
  const DoubleVec poly = ((high * r4 + middle) * r4 + low) * r2 + r + 1.0;
  const LongVec exponent = (reinterpret_cast<LongVec>(shifted) - reinterpret_cast<LongVec>(shifter) + 1023)
                           << 52;
  const DoubleVec result = poly * reinterpret_cast<DoubleVec>(exponent);
  return x < least ? DoubleVec{} : result;
}

VARSERVE_INLINE DoubleVec WeightsOf(const float* logits, double largest, double temperature) {
  return ExpDouble((Widen(logits) - largest) / temperature);
}

static double SoftmaxWeights(const float* logits, int count, float largest, float temperature,
                             double* weights) {
  DoubleVec sums[2] = {};
  int i = 0;
  for (; i + 2 * kDoubleLanes <= count; i += 2 * kDoubleLanes) {
    for (int j = 0; j < 2; ++j) {
      const DoubleVec w = WeightsOf(logits + i + j * kDoubleLanes, largest, temperature);
      if (weights != nullptr) std::memcpy(weights + i + j * kDoubleLanes, &w, sizeof(w));
      sums[j] += w;
    }
  }
  const DoubleVec both = sums[0] + sums[1];
  double sum = 0.0;
  for (int lane = 0; lane < kDoubleLanes; ++lane) sum += both[lane];
  for (; i < count; ++i) {
    float lanes[kDoubleLanes];
    for (float& lane : lanes) lane = logits[i];
    const double w = WeightsOf(lanes, largest, temperature)[0];
    if (weights != nullptr) weights[i] = w;
    sum += w;
  }
  return sum;
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
