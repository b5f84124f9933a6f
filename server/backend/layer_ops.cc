#include "server/backend/layer_ops.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "server/backend/leading_tokens.h"

namespace varserve::backend {
namespace {

// LeadingTokens' floor. x: [W, V], result: [W, 1]
at::Tensor FloorOf(const at::Tensor& x) {
  const int64_t vocabulary = x.size(1);
  if (vocabulary <= LeadingTokens::kRoom)
    return at::full({x.size(0), 1}, -std::numeric_limits<float>::infinity(), x.options());
  const int64_t whole = vocabulary / LeadingTokens::kBlock;
  std::vector<at::Tensor> maxima = {
      x.narrow(1, 0, whole * LeadingTokens::kBlock).unflatten(1, {whole, LeadingTokens::kBlock}).amax(2)};
  if (const int64_t rest = vocabulary % LeadingTokens::kBlock; rest > 0)
    maxima.push_back(x.narrow(1, vocabulary - rest, rest).amax(1, /*keepdim=*/true));
  const int64_t least = LeadingTokens::LeastOf(vocabulary);
  return std::get<0>(at::cat(maxima, 1).topk(least, 1)).narrow(1, least - 1, 1);
}

}  // namespace

void LayerOps::Largest(const at::Tensor& logits, at::Tensor& out) const {
  const auto [values, indices] = logits.max(1);
  out.select(1, 0).copy_(values);
  out.select(1, 1).copy_(indices);
}

void LayerOps::FindLeading(const at::Tensor& logits, const at::Tensor& largest, const at::Tensor& rows,
                           const at::Tensor& temperatures, at::Tensor& out) const {
  const int64_t vocabulary = logits.size(1);
  at::Tensor x = logits.index_select(0, rows);  // [W, V]
  const at::Tensor floor = FloorOf(x);          // [W, 1]
  out.select(1, 0).copy_((x >= floor).sum(1));
  const int64_t room = std::min<int64_t>(LeadingTokens::kRoom, vocabulary);
  const auto [values, ids] = x.topk(room, 1);  // [W, room] each
  const auto [ascending, order] = ids.masked_fill(values < floor, vocabulary).sort(1);
  out.narrow(1, kLeadingIds, room).copy_(ascending);
  out.narrow(1, kLeadingIds + LeadingTokens::kRoom, room).copy_(values.gather(1, order));
  x.sub_(largest.select(1, 0).index_select(0, rows).unsqueeze(1));
  out.select(1, 2).copy_(x.exp().sum(1));
  out.select(1, 1).copy_(x.div_(temperatures.unsqueeze(1)).exp_().sum(1));
}

void LayerOps::GatedLinear(const at::Tensor& x, const LinearWeights& w, at::Tensor& gate_up,
                           at::Tensor& out) const {
  Linear(x, w, gate_up);
  SiluMul(gate_up, out);
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
