#include "server/model/activation.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/sigmoid.h>

namespace varserve::model {

at::Tensor Activated(Activation activation, const at::Tensor& x) {
  if (activation == Activation::kQuickGelu) return x * at::sigmoid(1.702 * x);
  return at::gelu(x, activation == Activation::kGeluTanh ? "tanh" : "none");
}

}  // namespace varserve::model
