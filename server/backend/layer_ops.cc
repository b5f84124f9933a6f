#include "server/backend/layer_ops.h"

#include <ATen/ATen.h>

#include <utility>

namespace varserve::backend {

void LayerOps::Largest(const at::Tensor& logits, at::Tensor& out) const {
  const auto [values, indices] = logits.max(1);
  out.select(1, 0).copy_(values);
  out.select(1, 1).copy_(indices);
}

LinearWeights LayerOps::Prepare(const QuantizedMatrix& weights, at::Tensor bias,
                                const at::TensorOptions& options) const {
  return Prepare(weights.Dequantize().to(options), std::move(bias));
}

LinearWeights LayerOps::Pack(at::TensorList parts, at::Tensor bias) const {
  return Prepare(at::cat(parts), std::move(bias));
}

at::Tensor LayerOps::Linear(const at::Tensor& x, const LinearWeights& w) const {
  at::Tensor out = at::empty({x.size(0), w.outputs}, x.options());
  Linear(x, w, out);
  return out;
}

}  // namespace varserve::backend
