// The kernels for any x86-64 or other processor that the compiler targets by default.
#define VARSERVE_ISA baseline
#include "server/backend/cpu/attention_by_type.h"
#include "server/backend/cpu/linear_kernel.h"
#include "server/backend/cpu/linear_quantized.h"
#include "server/backend/cpu/row_kernels.h"
#include "server/backend/cpu/softmax_kernel.h"

namespace varserve::backend::cpu {

const CpuKernels* BaselineKernels() {
  static constexpr CpuKernels kKernels = {"baseline",
                                          baseline::PackInputs,
                                          baseline::PackGroups,
                                          /*rounds_inputs=*/false,
                                          /*reads_panels=*/false,
                                          baseline::Linear,
                                          baseline::LinearQuantized,
                                          baseline::RmsNorm,
                                          baseline::RopeStore,
                                          baseline::SiluMul,
                                          baseline::Attention,
                                          baseline::SoftmaxWeights};
  return &kKernels;
}

}  // namespace varserve::backend::cpu
