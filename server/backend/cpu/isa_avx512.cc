// The kernels for x86-64-v4 processors, which have AVX-512.
#include "server/backend/cpu/cpu_kernels.h"

#ifdef __AVX512BW__
#define VARSERVE_ISA avx512
#include "server/backend/cpu/avx512_kernels.h"

namespace varserve::backend::cpu {

const CpuKernels* Avx512Kernels() {
  const bool supported = Avx2Kernels() != nullptr && __builtin_cpu_supports("avx512f") &&
                         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
  if (!supported) return nullptr;
  static const CpuKernels kKernels = avx512::KernelsNamed("avx512");
  return &kKernels;
}

}  // namespace varserve::backend::cpu
#else
namespace varserve::backend::cpu {
const CpuKernels* Avx512Kernels() { return nullptr; }
}  // namespace varserve::backend::cpu
#endif
