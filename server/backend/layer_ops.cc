#include "server/backend/layer_ops.h"

#include <ATen/ATen.h>

#include <utility>

namespace varserve::backend {

void LayerOps::Largest(const at::Tensor& logits, at::Tensor& out) const {
  const auto [values, indices] = logits.max(1);
  out.select(1, 0).copy_(values);
  out.select(1, 1).copy_(indices);
}

void LayerOps::AttendWindows(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                             at::ScalarType /*weights*/, at::Tensor& out) const {
  const auto by_heads = [](const at::Tensor& x) { return x.transpose(1, 2); };  // [W, H, T, D]
  out.copy_(by_heads(at::scaled_dot_product_attention(by_heads(q), by_heads(k), by_heads(v))));
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
