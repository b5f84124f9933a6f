// A CPU tensor's dtype as the kernels name it.
#pragma once

#include <ATen/core/Tensor.h>

#include "server/kernels/cpu_kernels.h"

namespace varserve::attention {

inline kernels::StorageType StorageTypeOf(const at::Tensor& t) {
  switch (t.scalar_type()) {
    case at::kFloat:
      return kernels::StorageType::kFloat32;
    case at::kBFloat16:
      return kernels::StorageType::kBFloat16;
    case at::kHalf:
      return kernels::StorageType::kFloat16;
    default:
      TORCH_CHECK(false, "no kernels for dtype ", t.scalar_type());
  }
}

}  // namespace varserve::attention
