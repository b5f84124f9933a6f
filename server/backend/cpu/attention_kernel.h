// Rows of attention, each changed in its way, over K and V in blocks. Included only by isa_*.cc.
//
// One piece is one query token with the heads that share a KV head. Pieces of adjacent rows that see the same
// K and V are computed as one tile; the result is the same bit for bit.
#pragma once

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/head_looks_kernel.h"
#include "server/backend/cpu/redistribution_kernel.h"
#include "server/backend/cpu/reweigh_kernel.h"
#include "server/backend/cpu/softmax_rows.h"
#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// Adjacent rows of one sequence, and the heads of one KV head: `vectors` queries, row by row.
struct AttentionTile {
  const AttentionSequence& sequence;
  int first_row;
  int rows;
  int kv_head;
  int group;   // heads of a row
  int padded;  // slots of the row that sees most, rounded up to whole blocks
  bool fetch;  // K and V are not in the cache yet

  int vectors() const { return rows * group; }
};

// Offset of the tile's vector in a tensor [R, H, D] whose rows are `row_stride` apart.
VARSERVE_INLINE int64_t VectorAt(const AttentionArgs& a, const AttentionTile& t, int vector,
                                 int64_t row_stride) {
  const int head = t.kv_head * t.group + vector % t.group;
  return (t.first_row + vector / t.group) * row_stride + static_cast<int64_t>(head) * a.head_dim;
}

// The tile's part of the block that contains `slot`, in a pool [blocks, Hkv, block_size, D].
template <typename T>
VARSERVE_INLINE const T* BlockOf(const AttentionArgs& a, const AttentionTile& t, const void* pool, int slot) {
  const int64_t block = t.sequence.blocks[slot / a.block_size];
  return static_cast<const T*>(pool) + (block * a.kv_heads + t.kv_head) * a.block_size * a.head_dim;
}

// Prefetches the block's values and the next block's keys into the L2 cache while the block's scores are
// computed.
template <typename T>
VARSERVE_INLINE void FetchAhead(const AttentionArgs& a, const AttentionTile& t, int first) {
  constexpr int kLine = 64 / sizeof(T);
  if (!t.fetch) return;
  const auto fetch = [&](const T* block) __attribute__((always_inline)) {
    for (int i = 0; i < a.block_size * a.head_dim; i += kLine)
      __builtin_prefetch(block + i, /*rw=*/0, /*locality=*/2);
  };
  fetch(BlockOf<T>(a, t, a.v_pool, first));
  if (first + a.block_size < t.padded) fetch(BlockOf<T>(a, t, a.k_pool, first + a.block_size));
}

// Adds weights[n, slot] v[slot, d] over slots [begin, end) to N vectors' outputs, VECS * kLanes columns of
// them.
template <int N, int VECS, typename T>
VARSERVE_INLINE void AddWeighted(const AttentionArgs& a, const AttentionTile& t, const float* weights,
                                 int begin, int end, int column, float* const* out) {
  Vec acc[N][VECS];
  for (int n = 0; n < N; ++n) {
    for (int c = 0; c < VECS; ++c) acc[n][c] = Load(out[n] + column + c * kLanes);
  }
  for (int slot = begin; slot < end;) {
    const int in_block = slot % a.block_size;
    const T* v = BlockOf<T>(a, t, a.v_pool, slot) + in_block * a.head_dim + column;
    for (const int until = Min(slot - in_block + a.block_size, end); slot < until; ++slot, v += a.head_dim) {
      Vec value[VECS];
      for (int c = 0; c < VECS; ++c) value[c] = Load(v + c * kLanes);
      for (int n = 0; n < N; ++n) {
        const Vec w = Splat(weights[n * t.padded + slot]);
        for (int c = 0; c < VECS; ++c) acc[n][c] += w * value[c];
      }
    }
  }
  for (int n = 0; n < N; ++n) {
    for (int c = 0; c < VECS; ++c) Store(out[n] + column + c * kLanes, acc[n][c]);
  }
}

// The same for vectors [first, last) of the tile and all columns.
template <typename T>
VARSERVE_INLINE void AddWeighted(const AttentionArgs& a, const AttentionTile& t, const float* weights,
                                 int begin, int end, int first, int last) {
  if (begin >= end) return;
  const auto take = [&]<int N>() __attribute__((always_inline)) {
    // Enough accumulators to hide latency, but no more than the 16 registers, or 32 with AVX-512.
#ifdef __AVX512VL__
    constexpr int kVecs = 8;
#else
    constexpr int kVecs = N == 1 ? 8 : 4;
#endif
    for (; first + N <= last; first += N) {
      float* out[N];
      for (int n = 0; n < N; ++n) out[n] = a.out + VectorAt(a, t, first + n, a.out_stride);
      const float* own = weights + static_cast<int64_t>(first) * t.padded;
      int column = 0;
      for (; column + kVecs * kLanes <= a.head_dim; column += kVecs * kLanes)
        AddWeighted<N, kVecs, T>(a, t, own, begin, end, column, out);
      for (; column < a.head_dim; column += kLanes) AddWeighted<N, 1, T>(a, t, own, begin, end, column, out);
    }
  };
  take.template operator()<3>();
  take.template operator()<2>();
  take.template operator()<1>();
}

// out[vector] = sum of weight times value over the slots that its row sees. Slots without a token are left
// out, because their content may be anything.
template <typename T>
VARSERVE_INLINE void WeightedSums(const AttentionArgs& a, const AttentionTile& t, const float* weights) {
  int common = a.rows[t.first_row].num_slots;
  for (int i = 0; i < t.rows; ++i) {
    const int64_t row = t.first_row + i;
    float* out = a.out + VectorAt(a, t, i * t.group, a.out_stride);
    for (int d = 0; d < t.group * a.head_dim; ++d) out[d] = 0.0F;
    common = Min(common, a.rows[row].num_slots);
  }
  AddWeighted<T>(a, t, weights, 0, Min(t.sequence.empty_begin, common), 0, t.vectors());
  const int after = Min(t.sequence.empty_end, common);
  AddWeighted<T>(a, t, weights, after, common, 0, t.vectors());
  for (int i = 0; i < t.rows; ++i)
    AddWeighted<T>(a, t, weights, common, a.rows[t.first_row + i].num_slots, i * t.group, (i + 1) * t.group);
}

// Scores to weights for the heads of one row of the tile. spare: [padded], scratch memory.
VARSERVE_INLINE void WeighRow(const AttentionArgs& a, const AttentionTile& t, int r, float* scores,
                              float* spare) {
  using interventions::RowChange;
  const AttentionRow& row = a.rows[r];
  float* map = row.map < 0 || a.map_flags[row.map] == 0
                   ? nullptr
                   : a.maps + (static_cast<int64_t>(row.map) * a.kv_heads + t.kv_head) * 2 * a.map_slots;
  const int64_t group_index = static_cast<int64_t>(r) * a.kv_heads + t.kv_head;
  if (row.changes(RowChange::kReweigh, a.layer)) {
    return ReweighGroup(a, t.sequence, row, t.group, t.padded, scores, spare, map, a.sums + group_index);
  }
  if (row.changes(RowChange::kSuppressHeads, a.layer)) {
    LookGroup(a, t.sequence, row, t.group, t.padded, scores, a.looks + group_index * t.group);
  } else {
    for (int g = 0; g < t.group; ++g) {
      Softmax(scores + g * t.padded, a.scale, row.num_slots, t.padded, t.sequence.empty_begin,
              t.sequence.empty_end);
    }
  }
  if (map != nullptr) {
    for (int g = 0; g < t.group; ++g) AddTo(map, scores + g * t.padded, t.padded);
  }
  if (row.changes(RowChange::kRedistribute, a.layer))
    RedistributeGroup(a, t.sequence, row, t.group, t.padded, scores, spare, a.sums + group_index);
  if (map != nullptr) {
    for (int g = 0; g < t.group; ++g) AddTo(map + a.map_slots, scores + g * t.padded, t.padded);
  }
}

template <typename SCORES>
VARSERVE_INLINE void AttendTile(const AttentionArgs& a, const AttentionTile& t, float* scratch) {
  float* weights = scratch;                         // [vectors, padded]
  float* spare = weights + t.vectors() * t.padded;  // [padded]
  float* packed = spare + t.padded;                 // [vectors, PackedInputs(D)]

  for (int v = 0; v < t.vectors(); ++v)
    SCORES::Pack(a.q + VectorAt(a, t, v, a.q_stride), a.head_dim, packed + v * PackedInputs(a.head_dim));
  SCORES::Compute(a, t, packed, weights);
  for (int i = 0; i < t.rows; ++i)
    WeighRow(a, t, t.first_row + i, weights + static_cast<int64_t>(i) * t.group * t.padded, spare);
  WeightedSums<typename SCORES::Key>(a, t, weights);
}

// SCORES defines Key, the type of K and V, and how scores are computed: Pack() converts a query to its form,
// Compute() sets scores[vector, slot] = q[vector] k[slot] for whole blocks, with FetchAhead() before each.
template <typename SCORES>
static void AttentionTyped(const AttentionArgs& a, float* scratch, int piece_begin, int piece_end) {
  const int group = a.heads / a.kv_heads;
  const int most_rows = group < kAttentionTile ? kAttentionTile / group : 1;
  for (int piece = piece_begin, rows = 0; piece < piece_end; piece += rows) {
    const int first = piece % a.num_rows;
    const int limit = Min(most_rows, Min(piece_end - piece, a.num_rows - first));
    const int sequence = a.rows[first].sequence;
    int most_slots = a.rows[first].num_slots;
    for (rows = 1; rows < limit && a.rows[first + rows].sequence == sequence; ++rows) {
      if (a.rows[first + rows].num_slots > most_slots) most_slots = a.rows[first + rows].num_slots;
    }
    const bool fetch = piece == piece_begin || first == 0 || a.rows[first - 1].sequence != sequence;
    const AttentionTile tile{.sequence = a.sequences[sequence],
                             .first_row = first,
                             .rows = rows,
                             .kv_head = piece / a.num_rows,
                             .group = group,
                             .padded = (most_slots + a.block_size - 1) / a.block_size * a.block_size,
                             .fetch = fetch};
    AttendTile<SCORES>(a, tile, scratch);
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
