// Layer operations of the cuda backend.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/backend/cuda/kernels.h"
#include "server/backend/layer_ops.h"

namespace varserve::backend {

// `type`: bf16 or fp16. `quantized`: with kernels for quantized weights. Errors: see Kernels::Find.
absl::StatusOr<std::unique_ptr<const LayerOps>> MakeCudaLayerOps(std::shared_ptr<const Kernels> kernels,
                                                                 const std::string& type, bool quantized);

}  // namespace varserve::backend
