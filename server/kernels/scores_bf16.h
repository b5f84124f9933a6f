// Scores of bfloat16 keys by instructions that multiply pairs of bfloat16; queries are rounded to it.
// Included only by isa_avx512_bf16.cc.
#pragma once

#include <immintrin.h>

#include "server/kernels/attention_kernel.h"
#include "server/kernels/cpu_kernels.h"
#include "server/kernels/linear_bf16.h"
#include "server/kernels/vec.h"

namespace varserve::kernels::VARSERVE_ISA {

// scores[g, slot] = q[g] k[slot] for HEADS queries and SLOTS keys. Each score is one chain of operations,
// whatever the tile: eight lanes over sixteen channels at a time, then the sum of the lanes.
template <int HEADS, int SLOTS>
VARSERVE_INLINE void ScoreTile(const uint16_t* q, int64_t q_stride, const uint16_t* k, int head_dim,
                               float* scores, int64_t scores_stride) {
  constexpr int kStep = 2 * kLanes;
  __m256 acc[HEADS][SLOTS];
  for (auto& head : acc) {
    for (__m256& lanes : head) lanes = _mm256_setzero_ps();
  }
  for (int d = 0; d < head_dim; d += kStep) {
    const __mmask16 mask = head_dim - d >= kStep ? 0xffff : 0xff;  // heads are multiples of eight channels
    __m256bh keys[SLOTS];
    for (int j = 0; j < SLOTS; ++j)
      keys[j] = reinterpret_cast<__m256bh>(_mm256_maskz_loadu_epi16(mask, k + j * head_dim + d));
    for (int g = 0; g < HEADS; ++g) {
      const auto query = reinterpret_cast<__m256bh>(_mm256_maskz_loadu_epi16(mask, q + g * q_stride + d));
      for (int j = 0; j < SLOTS; ++j) acc[g][j] = _mm256_dpbf16_ps(acc[g][j], query, keys[j]);
    }
  }
  for (int g = 0; g < HEADS; ++g) {
    for (int j = 0; j < SLOTS; j += 4) {
      const auto lanes = [&](int i) { return reinterpret_cast<Vec>(acc[g][j + i]); };
      const Quad sums = Sum4(lanes(0), lanes(1), lanes(2), lanes(3));
      std::memcpy(scores + g * scores_stride + j, &sums, sizeof(sums));
    }
  }
}

struct PairScores {
  using Key = BFloat16;
  VARSERVE_INLINE void Compute(const AttentionArgs& a, const AttentionSequence& sequence, const float* q,
                               int kv_head, int group, int padded, bool fetch, float* scores, float* packed) {
    const int64_t q_stride = 2 * PackedInputs(a.head_dim);
    const auto* queries = reinterpret_cast<const uint16_t*>(packed);
    for (int g = 0; g < group; ++g)
      PackInputs(q + g * a.head_dim, a.head_dim, packed + g * PackedInputs(a.head_dim));
    for (int first = 0; first < padded; first += a.block_size) {
      if (fetch) FetchAhead<BFloat16>(a, sequence, kv_head, first, padded);
      const int64_t block = sequence.blocks[first / a.block_size];
      const auto* k =
          static_cast<const uint16_t*>(a.k_pool) + (block * a.kv_heads + kv_head) * a.block_size * a.head_dim;
      int g = 0;
      // As many accumulators as hide the instruction's latency, and fit the registers.
      const auto take = [&]<int HEADS, int SLOTS>() __attribute__((always_inline)) {
        for (; g + HEADS <= group; g += HEADS) {
          for (int j = 0; j < a.block_size; j += SLOTS) {
            ScoreTile<HEADS, SLOTS>(queries + g * q_stride, q_stride,
                                    k + static_cast<int64_t>(j) * a.head_dim, a.head_dim,
                                    scores + static_cast<int64_t>(g) * padded + first + j, padded);
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

}  // namespace varserve::kernels::VARSERVE_ISA
