// The kernels for x86-64-v3 processors, compiled with AVX2, FMA and F16C.
#include "server/backend/cpu/cpu_kernels.h"

#ifdef __AVX2__
#define VARSERVE_ISA avx2
#include "server/backend/cpu/attention_by_type.h"
#include "server/backend/cpu/linear_kernel.h"
#include "server/backend/cpu/linear_quantized.h"
#include "server/backend/cpu/row_kernels.h"
#include "server/backend/cpu/softmax_kernel.h"

namespace varserve::backend::cpu {

const CpuKernels* Avx2Kernels() {
  static constexpr CpuKernels kKernels = {"avx2",
                                          avx2::PackInputs,
                                          avx2::PackGroups,
                                          /*rounds_inputs=*/false,
                                          /*reads_panels=*/false,
                                          avx2::Linear,
                                          avx2::LinearQuantized,
                                          avx2::RmsNorm,
                                          avx2::RopeStore,
                                          avx2::SiluMul,
                                          avx2::Attention,
                                          avx2::SoftmaxWeights};
  // Every processor with AVX2 has F16C; clang 14 does not accept its name here.
  const bool supported = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return supported ? &kKernels : nullptr;
}

}  // namespace varserve::backend::cpu
#else
namespace varserve::backend::cpu {
const CpuKernels* Avx2Kernels() { return nullptr; }
}  // namespace varserve::backend::cpu
#endif
