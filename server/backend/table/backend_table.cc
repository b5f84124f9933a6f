#include "server/backend/table/backend_table.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/backend/cpu/cpu_backend.h"
#include "server/backend/cuda/cuda_backend.h"
#include "server/backend/torch/torch_backend.h"

namespace varserve::backend {

absl::StatusOr<Backend> MakeBackend(BackendKind kind, const BackendNeeds& needs) {
  if (kind == BackendKind::kAuto) kind = needs.device.is_cpu() ? BackendKind::kCpu : BackendKind::kTorch;
  const bool fits = kind == BackendKind::kTorch || (kind == BackendKind::kCuda && needs.kernels != nullptr) ||
                    needs.device.is_cpu() == (kind == BackendKind::kCpu);
  if (!fits) {
    return absl::FailedPreconditionError(absl::StrCat("--backend: ", kBackendNames[static_cast<int>(kind)],
                                                      " does not run on --device ", needs.device.str()));
  }
  switch (kind) {
    case BackendKind::kCpu:
      return Backend(MakeCpuLayerOps(), MakeCpuAttention());
    case BackendKind::kCuda:
      return needs.kernels == nullptr
                 ? MakeCudaBackend(needs.device, needs.dtype, needs.heads, needs.quantized)
                 : MakeCudaBackend(needs.kernels, needs.dtype, needs.heads, needs.quantized);
    default:
      return Backend(MakeTorchLayerOps(), MakeTorchAttention(needs.device));
  }
}

}  // namespace varserve::backend
