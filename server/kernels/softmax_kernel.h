// Softmax over logits in double precision, for sampling. Included only by isa_*.cc.
#pragma once

#include "server/kernels/cpu_kernels.h"
#include "server/kernels/vec.h"

namespace varserve::kernels::VARSERVE_ISA {

inline constexpr int kDoubleLanes = 4;
typedef double DoubleVec __attribute__((vector_size(32)));
typedef int64_t LongVec __attribute__((vector_size(32)));
typedef float FloatQuad __attribute__((vector_size(16)));

VARSERVE_INLINE DoubleVec SplatDouble(double x) { return DoubleVec{x, x, x, x}; }

// e^x within 1 ulp or two for x <= 0; 0 below -708, where results would not be normal any more. Cody-Waite
// reduction and the series to degree 13, whose rest is below the last bit.
VARSERVE_INLINE DoubleVec ExpDouble(DoubleVec x) {
  const DoubleVec least = SplatDouble(-708.0);
  const DoubleVec clamped = x < least ? least : x;
  const DoubleVec shifter = SplatDouble(0x1.8p52);  // adding it rounds to an integer
  const DoubleVec shifted = clamped * 1.4426950408889634 + shifter;
  const DoubleVec n = shifted - shifter;
  DoubleVec r = clamped - n * 6.93147180369123816490e-01;  // its product with n is exact
  r = r - n * 1.90821492927058770002e-10;
  DoubleVec poly = SplatDouble(1.0 / 6227020800.0);
  poly = poly * r + 1.0 / 479001600.0;
  poly = poly * r + 1.0 / 39916800.0;
  poly = poly * r + 1.0 / 3628800.0;
  poly = poly * r + 1.0 / 362880.0;
  poly = poly * r + 1.0 / 40320.0;
  poly = poly * r + 1.0 / 5040.0;
  poly = poly * r + 1.0 / 720.0;
  poly = poly * r + 1.0 / 120.0;
  poly = poly * r + 1.0 / 24.0;
  poly = poly * r + 1.0 / 6.0;
  poly = poly * r + 0.5;
  poly = poly * (r * r) + r + 1.0;
  const LongVec exponent = (reinterpret_cast<LongVec>(shifted) - reinterpret_cast<LongVec>(shifter) + 1023)
                           << 52;
  const DoubleVec result = poly * reinterpret_cast<DoubleVec>(exponent);
  return x < least ? SplatDouble(0.0) : result;
}

VARSERVE_INLINE DoubleVec WeightsOf(const float* logits, double largest, double temperature) {
  FloatQuad quad;
  std::memcpy(&quad, logits, sizeof(quad));
  return ExpDouble((__builtin_convertvector(quad, DoubleVec) - largest) / temperature);
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
  double sum = (both[0] + both[1]) + (both[2] + both[3]);
  for (; i < count; ++i) {
    const float lanes[kDoubleLanes] = {logits[i], logits[i], logits[i], logits[i]};
    const double w = WeightsOf(lanes, largest, temperature)[0];
    if (weights != nullptr) weights[i] = w;
    sum += w;
  }
  return sum;
}

}  // namespace varserve::kernels::VARSERVE_ISA
