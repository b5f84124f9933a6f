// Attention over K and V of any storage type, scores by the linear kernel. Included only by isa_*.cc.
#pragma once

#include "server/kernels/attention_kernel.h"
#include "server/kernels/linear_kernel.h"

namespace varserve::kernels::VARSERVE_ISA {

template <typename T>
struct LinearScores {
  using Key = T;
  VARSERVE_INLINE void Compute(const AttentionArgs& a, const AttentionSequence& sequence, const float* q,
                               int kv_head, int group, int padded, bool fetch, float* scores, float* packed) {
    int64_t q_stride = a.head_dim;
    if constexpr (Step<T>::kInputs > kLanes) {
      q_stride = PackedInputs(a.head_dim);
      for (int g = 0; g < group; ++g) PackInputs(q + g * a.head_dim, a.head_dim, packed + g * q_stride);
      q = packed;
    }
    for (int i = 0; i < group * padded; ++i) scores[i] = 0.0F;
    for (int first = 0; first < padded; first += a.block_size) {
      if (fetch) FetchAhead<T>(a, sequence, kv_head, first, padded);
      const int64_t block = sequence.blocks[first / a.block_size];
      const T* k =
          static_cast<const T*>(a.k_pool) + (block * a.kv_heads + kv_head) * a.block_size * a.head_dim;
      Block</*PREFETCH=*/false>(q, q_stride, group, k, a.head_dim, a.block_size, a.head_dim, scores + first,
                                padded);
    }
  }
};

static void Attention(const AttentionArgs& a, float* scratch, int piece_begin, int piece_end) {
  switch (a.kv_type) {
    case StorageType::kFloat32:
      return AttentionTyped<LinearScores<float>>(a, scratch, piece_begin, piece_end);
    case StorageType::kBFloat16:
      return AttentionTyped<LinearScores<BFloat16>>(a, scratch, piece_begin, piece_end);
    case StorageType::kFloat16:
      return AttentionTyped<LinearScores<Float16>>(a, scratch, piece_begin, piece_end);
  }
}

}  // namespace varserve::kernels::VARSERVE_ISA
