// The kernels for x86-64-v3 processors (AVX2, FMA, F16C), compiled with these instructions on.
#include "server/kernels/cpu_kernels.h"

#ifdef __AVX2__
#define VARSERVE_ISA avx2
#include "server/kernels/attention_by_type.h"
#include "server/kernels/linear_kernel.h"
#include "server/kernels/row_kernels.h"
#include "server/kernels/softmax_kernel.h"

namespace varserve::kernels {

const CpuKernels* Avx2Kernels() {
  static constexpr CpuKernels kKernels = {
      "avx2",        avx2::PackInputs, /*rounds_inputs=*/false, /*reads_panels=*/false, avx2::Linear,
      avx2::RmsNorm, avx2::RopeStore,  avx2::SiluMul,           avx2::Attention,        avx2::SoftmaxWeights};
  // Every processor with AVX2 has F16C, whose name clang 14 does not take here.
  const bool supported = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return supported ? &kKernels : nullptr;
}

}  // namespace varserve::kernels
#else
namespace varserve::kernels {
const CpuKernels* Avx2Kernels() { return nullptr; }
}  // namespace varserve::kernels
#endif
