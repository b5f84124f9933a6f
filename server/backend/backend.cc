#include "server/backend/backend.h"

#include <c10/util/Exception.h>

#include "server/backend/cpu/cpu_backend.h"
#include "server/backend/torch/torch_backend.h"

namespace varserve::backend {

Backend::Backend(BackendKind kind, at::Device device) {
  if (kind == BackendKind::kAuto) kind = device.is_cpu() ? BackendKind::kCpu : BackendKind::kTorch;
  switch (kind) {
    case BackendKind::kCpu:
      TORCH_CHECK(device.is_cpu(), "the cpu backend does not run on ", device.str());
      ops_ = MakeCpuLayerOps();
      attention_ = MakeCpuAttention();
      break;
    default:
      ops_ = MakeTorchLayerOps();
      attention_ = MakeTorchAttention(device);
  }
}

}  // namespace varserve::backend
