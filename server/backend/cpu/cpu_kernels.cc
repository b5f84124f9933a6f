#include "server/backend/cpu/cpu_kernels.h"

namespace varserve::backend::cpu {

const CpuKernels& GetCpuKernels() {
  static const CpuKernels& chosen = Avx512Bf16Kernels() != nullptr ? *Avx512Bf16Kernels()
                                    : Avx2Kernels() != nullptr     ? *Avx2Kernels()
                                                                   : *BaselineKernels();
  return chosen;
}

}  // namespace varserve::backend::cpu
