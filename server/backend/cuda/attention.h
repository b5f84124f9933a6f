// Attention of the cuda backend.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/backend/attention.h"
#include "server/backend/cuda/kernels.h"

namespace varserve::backend {

// `type`: bf16 or fp16. Errors: see Kernels::Find.
absl::StatusOr<std::unique_ptr<const Attention>> MakeCudaAttention(std::shared_ptr<const Kernels> kernels,
                                                                   at::Device device, const std::string& type,
                                                                   int64_t head_dim, int64_t group);

}  // namespace varserve::backend
