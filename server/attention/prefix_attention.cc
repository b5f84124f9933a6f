#include <ATen/ATen.h>

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

at::Tensor AttendPrefix(const at::Tensor& q, const KvLayer& kv, const at::Tensor& blocks, int64_t start) {
  const int64_t num_queries = q.size(0);
  const int64_t num_keys = start + num_queries;
  const at::Tensor k = Gather(kv.k, blocks, num_keys, q.scalar_type());
  const at::Tensor v = Gather(kv.v, blocks, num_keys, q.scalar_type());
  std::optional<at::Tensor> mask;
  if (start > 0) mask = at::ones({num_queries, num_keys}, q.options().dtype(at::kBool)).tril(start);
  return at::scaled_dot_product_attention(q.transpose(0, 1).unsqueeze(0), k, v, mask, /*dropout_p=*/0.0,
                                          /*is_causal=*/start == 0, /*scale=*/std::nullopt,
                                          /*enable_gqa=*/true)
      .squeeze(0)
      .transpose(0, 1);  // [Tq, H, D]
}

}  // namespace varserve::attention
