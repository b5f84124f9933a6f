// Attention over K and V of any storage type, with scores from the linear kernel. Included only by isa_*.cc.
#pragma once

#include "server/backend/cpu/attention_kernel.h"
#include "server/backend/cpu/linear_kernel.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

template <typename T>
struct LinearScores {
  using Key = T;
  VARSERVE_INLINE void Pack(const float* q, int head_dim, float* packed) {
    if constexpr (Step<T>::kInputs > kLanes) {
      PackInputs(q, head_dim, packed);
    } else {
      std::memcpy(packed, q, head_dim * sizeof(float));
    }
  }
  VARSERVE_INLINE void Compute(const AttentionArgs& a, const AttentionTile& t, const float* packed,
                               float* scores) {
    for (int i = 0; i < t.vectors() * t.padded; ++i) scores[i] = 0.0F;
    for (int first = 0; first < t.padded; first += a.block_size) {
      FetchAhead<T>(a, t, first);
      Block</*PREFETCH=*/false>(packed, PackedInputs(a.head_dim), t.vectors(),
                                BlockOf<T>(a, t, a.k_pool, first), a.head_dim, a.block_size, a.head_dim,
                                scores + first, t.padded);
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

}  // namespace varserve::backend::cpu::VARSERVE_ISA
