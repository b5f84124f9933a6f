// The kernels for any x86-64 or other processor the compiler targets by default.
#define VARSERVE_ISA baseline
#include "server/kernels/attention_by_type.h"
#include "server/kernels/linear_kernel.h"
#include "server/kernels/row_kernels.h"
#include "server/kernels/softmax_kernel.h"

namespace varserve::kernels {

const CpuKernels* BaselineKernels() {
  static constexpr CpuKernels kKernels = {
      "baseline",          baseline::PackInputs,    /*rounds_inputs=*/false, /*reads_panels=*/false,
      baseline::Linear,    baseline::RmsNorm,       baseline::RopeStore,     baseline::SiluMul,
      baseline::Attention, baseline::SoftmaxWeights};
  return &kKernels;
}

}  // namespace varserve::kernels
