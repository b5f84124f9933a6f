#include "server/kernels/cpu_kernels.h"

namespace varserve::kernels {

const CpuKernels& GetCpuKernels() {
  static const CpuKernels& chosen = Avx512Bf16Kernels() != nullptr ? *Avx512Bf16Kernels()
                                    : Avx2Kernels() != nullptr     ? *Avx2Kernels()
                                                                   : *BaselineKernels();
  return chosen;
}

}  // namespace varserve::kernels
