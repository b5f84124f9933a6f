// A CPU tensor's dtype as the kernels' StorageType.
#pragma once

#include <ATen/core/Tensor.h>

#include "server/backend/cpu/cpu_kernels.h"

namespace varserve::backend {

inline cpu::StorageType StorageTypeOf(const at::Tensor& t) {
  switch (t.scalar_type()) {
    case at::kFloat:
      return cpu::StorageType::kFloat32;
    case at::kBFloat16:
      return cpu::StorageType::kBFloat16;
    case at::kHalf:
      return cpu::StorageType::kFloat16;
    default:
      TORCH_CHECK(false, "no kernels for dtype ", t.scalar_type());
  }
}

}  // namespace varserve::backend
