// The kernels for processors with AVX-512 that multiply pairs of bfloat16 (AVX512_BF16), at twice the rate of
// float32.
#include "server/backend/cpu/cpu_kernels.h"

#ifdef __AVX512BF16__
#define VARSERVE_ISA avx512_bf16
#include "server/backend/cpu/avx512_kernels.h"

namespace varserve::backend::cpu {

const CpuKernels* Avx512Bf16Kernels() {
  if (Avx512Kernels() == nullptr || !__builtin_cpu_supports("avx512bf16")) return nullptr;
  static const CpuKernels kKernels = avx512_bf16::KernelsNamed("avx512_bf16");
  return &kKernels;
}

}  // namespace varserve::backend::cpu
#else
namespace varserve::backend::cpu {
const CpuKernels* Avx512Bf16Kernels() { return nullptr; }
}  // namespace varserve::backend::cpu
#endif
