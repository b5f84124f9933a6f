#include "server/backend/torch/prefix_attention.h"

#include <ATen/ATen.h>

#include <limits>

namespace varserve::backend {
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

void FlashAttendPrefix(const PrefixChunk& chunk, const at::Tensor& q, const KvLayer& kv, at::Tensor out) {
  const int64_t num_keys = chunk.start + chunk.count;
  const at::Tensor k = Gather(kv.k, chunk.blocks, num_keys, q.scalar_type());
  const at::Tensor v = Gather(kv.v, chunk.blocks, num_keys, q.scalar_type());
  const at::Tensor attended = at::scaled_dot_product_attention(  // [1, H, Tq, D]
      q.transpose(0, 1).unsqueeze(0), k, v, chunk.mask.defined() ? std::optional(chunk.mask) : std::nullopt,
      /*dropout_p=*/0.0,
      /*is_causal=*/!chunk.mask.defined(), /*scale=*/std::nullopt, /*enable_gqa=*/true);
  out.copy_(attended.squeeze(0).transpose(0, 1));
}

}  // namespace varserve::backend
