// Kernels launched by NVIDIA's driver, which is opened at run time: the binary needs neither it nor CUDA.
#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "absl/status/statusor.h"
#include "server/backend/cuda/kernels.h"

namespace varserve::backend {

// Kernels for a GPU that ATen has opened. FAILED_PRECONDITION if there is no driver, or the GPU is older than
// all forms.
absl::StatusOr<std::shared_ptr<const Kernels>> OpenDriverKernels(at::Device device);

}  // namespace varserve::backend
