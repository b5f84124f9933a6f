// Attention of the cuda backend.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/backend/attention.h"
#include "server/backend/cuda/kernels.h"
#include "server/backend/head_shape.h"

namespace varserve::backend {

// `type`: bf16 or fp16. Errors: see Kernels::Find.
absl::StatusOr<std::unique_ptr<const Attention>> MakeCudaAttention(std::shared_ptr<const Kernels> kernels,
                                                                   const std::string& type,
                                                                   const HeadShape& heads);

}  // namespace varserve::backend
