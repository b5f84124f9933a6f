#include "server/backend/cuda/cuda_backend.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/backend/cuda/attention.h"
#include "server/backend/cuda/driver_kernels.h"
#include "server/backend/cuda/layer_ops.h"
#include "server/base/status_macros.h"

namespace varserve::backend {
namespace {

constexpr int64_t kMostHeadDim = 128;
constexpr int64_t kMostGroup = 16;

absl::Status Unsupported(const std::string& what) {
  return absl::FailedPreconditionError(
      absl::StrCat("--backend: cuda does not support ", what, "; --backend torch does"));
}

}  // namespace

absl::StatusOr<Backend> MakeCudaBackend(at::Device device, at::ScalarType dtype, const HeadShape& heads,
                                        bool quantized) {
  if (dtype != at::kBFloat16 && dtype != at::kHalf) return Unsupported("float32 (--dtype)");
  if (heads.head_dim % 16 != 0 || heads.head_dim > kMostHeadDim) {
    return Unsupported(
        absl::StrCat("heads of ", heads.head_dim, " values, only multiples of 16 up to ", kMostHeadDim));
  }
  if (heads.group() > kMostGroup) {
    return Unsupported(absl::StrCat(heads.group(), " heads for a KV head, only up to ", kMostGroup));
  }
  absl::StatusOr<std::shared_ptr<const Kernels>> kernels = OpenDriverKernels(device);
  if (!kernels.ok())
    return absl::Status(kernels.status().code(), absl::StrCat("--backend: ", kernels.status().message()));
  return MakeCudaBackend(*std::move(kernels), dtype, heads, quantized);
}

absl::StatusOr<Backend> MakeCudaBackend(std::shared_ptr<const Kernels> kernels, at::ScalarType dtype,
                                        const HeadShape& heads, bool quantized) {
  const std::string type = dtype == at::kBFloat16 ? "bf16" : dtype == at::kHalf ? "fp16" : "fp32";
  ASSIGN_OR_RETURN(auto ops, MakeCudaLayerOps(kernels, type, quantized));
  ASSIGN_OR_RETURN(auto attention, MakeCudaAttention(kernels, type, heads));
  return Backend(std::move(ops), std::move(attention), kernels->MakeRecorder());
}

}  // namespace varserve::backend
