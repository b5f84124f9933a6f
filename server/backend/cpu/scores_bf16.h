// Scores of bfloat16 keys with products of pairs of bfloat16; queries are rounded to bfloat16. Included only
// by isa_avx512*.cc.
#pragma once

#include <immintrin.h>

#include "server/backend/cpu/attention_kernel.h"
#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/linear_bf16.h"
#include "server/backend/cpu/pair_products.h"
#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// scores[v, slot] = q[v] k[slot] for VECTORS queries and SLOTS keys. Each score is one chain of operations,
// whatever the tile: eight lanes over sixteen channels at a time, then the sum of the lanes.
template <int VECTORS, int SLOTS>
[[gnu::noinline]] static void ScoreTile(const uint16_t* q, int64_t q_stride, const uint16_t* k, int head_dim,
                                        float* scores, int64_t scores_stride) {
  constexpr int kStep = 2 * kLanes;
  __m256 acc[VECTORS][SLOTS];
  for (auto& vector : acc) {
    for (__m256& lanes : vector) lanes = _mm256_setzero_ps();
  }
  for (int d = 0; d < head_dim; d += kStep) {
    const __mmask16 mask = head_dim - d >= kStep ? 0xffff : 0xff;  // heads are multiples of eight channels
    decltype(PairsOf(__m256i())) keys[SLOTS];
    for (int j = 0; j < SLOTS; ++j) keys[j] = PairsOf(_mm256_maskz_loadu_epi16(mask, k + j * head_dim + d));
    for (int v = 0; v < VECTORS; ++v) {
      const auto query = PairsOf(_mm256_maskz_loadu_epi16(mask, q + v * q_stride + d));
      for (int j = 0; j < SLOTS; ++j) acc[v][j] = AddProducts(acc[v][j], query, keys[j]);
    }
  }
  for (int v = 0; v < VECTORS; ++v) {
    for (int j = 0; j < SLOTS; j += 4) {
      const auto lanes = [&](int i) { return reinterpret_cast<Vec>(acc[v][j + i]); };
      const Quad sums = Sum4(lanes(0), lanes(1), lanes(2), lanes(3));
      std::memcpy(scores + v * scores_stride + j, &sums, sizeof(sums));
    }
  }
}

struct PairScores {
  using Key = BFloat16;
  VARSERVE_INLINE void Pack(const float* q, int head_dim, float* packed) { PackInputs(q, head_dim, packed); }
  VARSERVE_INLINE void Compute(const AttentionArgs& a, const AttentionTile& t, const float* packed,
                               float* scores) {
    const int64_t stride = 2 * PackedInputs(a.head_dim);
    const auto* queries = reinterpret_cast<const uint16_t*>(packed);
    for (int first = 0; first < t.padded; first += a.block_size) {
      FetchAhead<BFloat16>(a, t, first);
      const auto* k = reinterpret_cast<const uint16_t*>(BlockOf<BFloat16>(a, t, a.k_pool, first));
      int v = 0;
      // Enough accumulators to hide the instruction's latency, within the number of registers.
      const auto take = [&]<int VECTORS, int SLOTS>() __attribute__((always_inline)) {
        for (; v + VECTORS <= t.vectors(); v += VECTORS) {
          for (int j = 0; j < a.block_size; j += SLOTS) {
            ScoreTile<VECTORS, SLOTS>(queries + v * stride, stride, k + static_cast<int64_t>(j) * a.head_dim,
                                      a.head_dim, scores + static_cast<int64_t>(v) * t.padded + first + j,
                                      t.padded);
          }
        }
      };
      take.template operator()<4, 4>();
      take.template operator()<3, 4>();
      take.template operator()<2, 8>();
      take.template operator()<1, 8>();
    }
  }
};

}  // namespace varserve::backend::cpu::VARSERVE_ISA
