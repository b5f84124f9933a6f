// The cuda backend: our own kernels (kernels/) between cuBLAS's matrix products, for bfloat16 and float16.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <memory>

#include "absl/status/statusor.h"
#include "server/backend/backend.h"
#include "server/backend/cuda/kernels.h"
#include "server/backend/head_shape.h"

namespace varserve::backend {

// Opens the driver and loads the kernels. `quantized`: those of quantized weights, too; without them such
// weights are dequantized. Errors begin with --backend.
absl::StatusOr<Backend> MakeCudaBackend(at::Device device, at::ScalarType dtype, const HeadShape& heads,
                                        bool quantized);
// The same with other means to launch kernels. Errors: see Kernels::Find.
absl::StatusOr<Backend> MakeCudaBackend(std::shared_ptr<const Kernels> kernels, at::ScalarType dtype,
                                        const HeadShape& heads, bool quantized);

}  // namespace varserve::backend
