// Initial outputs to which every linear kernel adds its products. Included only by isa_*.cc.
#pragma once

#include <cstring>

#include "server/backend/cpu/cpu_kernels.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// Initializes outputs [begin, end) of one row: the existing values or 0, plus the bias. a: LinearArgs or
// QuantizedLinearArgs
template <typename Args>
static inline void StartOutputs(const Args& a, float* y, int begin, int end) {
  const size_t bytes = (end - begin) * sizeof(float);
  if (a.accumulate) {
    if (a.bias == nullptr) return;
    for (int n = begin; n < end; ++n) y[n] += a.bias[n];
  } else if (a.bias != nullptr) {
    std::memcpy(y + begin, a.bias + begin, bytes);
  } else {
    std::memset(y + begin, 0, bytes);
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
