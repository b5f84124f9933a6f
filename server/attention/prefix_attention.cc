#include <ATen/ATen.h>

#include <limits>

#include "server/attention/attention_backend.h"

namespace varserve::attention {
namespace {

// The first `count` slots of a sequence. => [1, Hkv, count, D] in q's dtype
at::Tensor Gather(const at::Tensor& pool, const at::Tensor& blocks, int64_t count, at::ScalarType dtype) {
  return pool.index_select(0, blocks)
      .transpose(0, 1)                               // [Hkv, nb, block, D]
      .reshape({1, pool.size(1), -1, pool.size(3)})  // [1, Hkv, nb * block, D]
      .narrow(2, 0, count)
      .to(dtype);
}

}  // namespace

at::Tensor PrefixMask(int64_t count, int64_t start, const at::TensorOptions& options) {
  if (start == 0) return {};
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  return at::full({count, start + count}, kNever, options).triu(start + 1);
}

at::Tensor AttendPrefix(const at::Tensor& q, const KvLayer& kv, const at::Tensor& blocks,
                        const at::Tensor& mask) {
  const int64_t num_keys = mask.defined() ? mask.size(1) : q.size(0);
  const at::Tensor k = Gather(kv.k, blocks, num_keys, q.scalar_type());
  const at::Tensor v = Gather(kv.v, blocks, num_keys, q.scalar_type());
  return at::scaled_dot_product_attention(q.transpose(0, 1).unsqueeze(0), k, v,
                                          mask.defined() ? std::optional(mask) : std::nullopt,
                                          /*dropout_p=*/0.0,
                                          /*is_causal=*/!mask.defined(), /*scale=*/std::nullopt,
                                          /*enable_gqa=*/true)
      .squeeze(0)
      .transpose(0, 1);  // [Tq, H, D]
}

}  // namespace varserve::attention
