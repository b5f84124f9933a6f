#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "server/backend/cpu/cpu_backend.h"
#include "server/backend/torch/torch_backend.h"

namespace varserve::backend {
namespace {

// Causal attention by the definition, over tokens in order.
at::Tensor Reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t start) {
  const int64_t group = q.size(1) / k.size(1);
  const at::Tensor keys = k.repeat_interleave(group, 1).transpose(0, 1).to(at::kDouble);  // [H, Tk, D]
  const at::Tensor values = v.repeat_interleave(group, 1).transpose(0, 1).to(at::kDouble);
  at::Tensor scores =
      at::matmul(q.transpose(0, 1).to(at::kDouble), keys.transpose(1, 2)) / std::sqrt(q.size(2));
  scores = scores.masked_fill(at::ones_like(scores[0]).tril(start) == 0, -INFINITY);
  return at::matmul(scores.softmax(-1), values).transpose(0, 1).to(at::kFloat);
}

TEST(PrefixAttentionTest, ChunksSeeEverythingBefore) {
  at::manual_seed(1);
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    // Weights of bfloat16 values may be rounded to bfloat16 too.
    const double tolerance = type == at::kBFloat16 ? 4e-3 : 1e-5;
    for (const auto& [heads, kv_heads] : {std::pair<int, int>{4, 4}, {6, 2}}) {
      constexpr int kTokens = 75;
      constexpr int kDim = 24;
      // Values that every storage type has, so that no backend rounds.
      const auto values = [&](int h) {
        return at::randn({kTokens, h, kDim}).to(at::kBFloat16).to(type).to(at::kFloat);
      };
      const at::Tensor q = values(heads);
      const at::Tensor k = values(kv_heads);
      const at::Tensor v = values(kv_heads);
      const at::Tensor blocks = at::tensor({7, 2, 5, 0, 3}, at::kLong);
      KvLayer kv{at::zeros({8, kv_heads, 16, kDim}, type), at::zeros({8, kv_heads, 16, kDim}, type), {}};
      for (int t = 0; t < kTokens; ++t) {
        const int64_t block = blocks[t / 16].item<int64_t>();
        kv.k[block].select(1, t % 16).copy_(k[t]);
        kv.v[block].select(1, t % 16).copy_(v[t]);
      }
      const at::Tensor expected = Reference(q, k, v, 0);
      for (const auto& backend : {MakeCpuAttention(), MakeTorchAttention(at::kCPU)}) {
        for (const auto& [begin, end] : {std::pair<int, int>{0, 75}, {0, 20}, {20, 64}, {64, 75}, {74, 75}}) {
          const PrefixChunk chunk{.count = end - begin,
                                  .start = begin,
                                  .blocks = blocks.slice(0, 0, (end + 15) / 16),
                                  .mask = PrefixMask(end - begin, begin, q.options())};
          at::Tensor got = at::empty({end - begin, heads, kDim});
          backend->AttendPrefix(chunk, q.slice(0, begin, end), kv, got);
          EXPECT_TRUE(at::allclose(got, expected.slice(0, begin, end), tolerance, tolerance))
              << type << ", " << begin << ".." << end;
        }
      }
    }
  }
}

}  // namespace
}  // namespace varserve::backend
