// Attention of each token of a window to the whole window, with products in bfloat16.
#pragma once

#include <ATen/core/Tensor.h>

namespace varserve::backend::cpu {

// See LayerOps::AttendWindows. For kernels that read panels.
void AttendWindows(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, at::Tensor& out);

}  // namespace varserve::backend::cpu
