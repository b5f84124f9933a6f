// Rows of attention with Visual Attention Redistribution, over K and V in blocks. Included only by isa_*.cc.
//
// One piece is one query token and the heads that share a KV head. The row's weights exist explicitly, in
// float32, so VAR is a few passes over numbers that are in the cache anyway.
#pragma once

#include "server/kernels/cpu_kernels.h"
#include "server/kernels/vec.h"

namespace varserve::kernels::VARSERVE_ISA {

// Fetches, while a block's scores are computed, its values and the next block's keys into the L2 cache.
template <typename T>
VARSERVE_INLINE void FetchAhead(const AttentionArgs& a, const AttentionSequence& sequence, int kv_head,
                                int first, int padded) {
  constexpr int kLine = 64;
  const int64_t size = static_cast<int64_t>(a.block_size) * a.head_dim * sizeof(T);
  const auto fetch = [&](const void* pool, int slot) __attribute__((always_inline)) {
    const int64_t block = sequence.blocks[slot / a.block_size];
    const char* begin = static_cast<const char*>(pool) + (block * a.kv_heads + kv_head) * size;
    for (int64_t at = 0; at < size; at += kLine) __builtin_prefetch(begin + at, /*rw=*/0, /*locality=*/2);
  };
  fetch(a.v_pool, first);
  if (first + a.block_size < padded) fetch(a.k_pool, first + a.block_size);
}

// Softmax over the slots the row sees; all other slots get 0.
VARSERVE_INLINE void Softmax(float* weights, float scale, int num_slots, int padded, int empty_begin,
                             int empty_end) {
  constexpr float kMasked = -3.0e38F;
  for (int j = num_slots; j < padded; ++j) weights[j] = kMasked;
  for (int j = empty_begin; j < Min(empty_end, padded); ++j) weights[j] = kMasked;
  Vec largest = Splat(kMasked);
  for (int j = 0; j < padded; j += kLanes) largest = Max(Load(weights + j), largest);
  const float top = MaxLane(largest);
  Vec total = {};
  for (int j = 0; j < padded; j += kLanes) {
    const Vec e = Exp((Load(weights + j) - top) * scale);
    Store(weights + j, e);
    total += e;
  }
  const float inverse = 1.0F / Sum(total);
  for (int j = 0; j < padded; j += kLanes) Store(weights + j, Load(weights + j) * inverse);
}

// sink[slot] = 1 where the slot holds a sink of this layer, else 0 (var.md, "Sinks").
VARSERVE_INLINE void FindSinks(const AttentionArgs& a, const AttentionSequence& sequence,
                               const AttentionRow& row, int padded, float* sink) {
  const float* phi = a.phi + (row.authors_code ? a.phi_plane_stride : 0);
  for (int first = 0; first < padded; first += a.block_size) {
    const float* block_phi = phi + static_cast<int64_t>(sequence.blocks[first / a.block_size]) * a.block_size;
    for (int i = 0; i < a.block_size; i += kLanes)
      Store(sink + first + i, Load(block_phi + i) >= row.tau ? Splat(1.0F) : Splat(0.0F));
  }
  for (int slot = Min(row.sink_slots, row.num_slots); slot < padded; ++slot) sink[slot] = 0.0F;
  for (int slot = sequence.empty_begin; slot < Min(sequence.empty_end, padded); ++slot) sink[slot] = 0.0F;
}

// Attention of one head by class of slot: m_v, m_vs, m_vn, m_ts of var.md, "Redistribution".
struct Masses {
  float visual, visual_sink, visual_nonsink, text_sink;
};

VARSERVE_INLINE Masses MassesOf(const float* weights, const float* visual, const float* sink, int padded) {
  Vec visual_sink = {};
  Vec visual_nonsink = {};
  Vec text_sink = {};
  for (int j = 0; j < padded; j += kLanes) {
    const Vec w = Load(weights + j);
    const Vec on_visual = w * Load(visual + j);
    const Vec s = Load(sink + j);
    visual_sink += on_visual * s;
    visual_nonsink += on_visual * (1.0F - s);
    text_sink += (w - on_visual) * s;
  }
  Masses m;
  m.visual_sink = Sum(visual_sink);
  m.visual_nonsink = Sum(visual_nonsink);
  m.text_sink = Sum(text_sink);
  m.visual = m.visual_sink + m.visual_nonsink;
  return m;
}

// Takes the share p of every sink's weight and gives it to the visual tokens that are not sinks.
VARSERVE_INLINE void Redistribute(float* weights, const float* visual, const float* sink, int padded, float p,
                                  float boost) {
  for (int j = 0; j < padded; j += kLanes) {
    const Vec s = Load(sink + j);
    const Vec v = Load(visual + j);
    const Vec factor = s * (1.0F - p) + (1.0F - s) * (v * boost + (1.0F - v));
    Store(weights + j, Load(weights + j) * factor);
  }
}

VARSERVE_INLINE void AddTo(float* sum, const float* values, int count) {
  for (int j = 0; j < count; j += kLanes) Store(sum + j, Load(sum + j) + Load(values + j));
}

// out[g, d] += weights[g, slot] v[slot, d] for HEADS heads and VECS * kLanes columns of one V block column
// range.
template <int HEADS, int VECS, typename T>
VARSERVE_INLINE void WeightedSumTile(const AttentionArgs& a, const AttentionSequence& sequence,
                                     const float* weights, int padded, int num_slots, int kv_head, int column,
                                     float* out) {
  Vec acc[HEADS][VECS] = {};
  for (int first = 0; first < num_slots; first += a.block_size) {
    const int64_t block = sequence.blocks[first / a.block_size];
    const T* v =
        static_cast<const T*>(a.v_pool) + (block * a.kv_heads + kv_head) * a.block_size * a.head_dim + column;
    const int count = Min(a.block_size, num_slots - first);
    for (int i = 0; i < count; ++i, v += a.head_dim) {
      Vec value[VECS];
      for (int c = 0; c < VECS; ++c) value[c] = Load(v + c * kLanes);
      for (int g = 0; g < HEADS; ++g) {
        const Vec w = Splat(weights[g * padded + first + i]);
        for (int c = 0; c < VECS; ++c) acc[g][c] += w * value[c];
      }
    }
  }
  for (int g = 0; g < HEADS; ++g) {
    for (int c = 0; c < VECS; ++c) Store(out + static_cast<int64_t>(g) * a.head_dim + c * kLanes, acc[g][c]);
  }
}

template <int HEADS, typename T>
VARSERVE_INLINE void WeightedSumHeads(const AttentionArgs& a, const AttentionSequence& sequence,
                                      const float* weights, int padded, int num_slots, int kv_head,
                                      float* out) {
  // Accumulators enough to hide latency, and no more than there are registers: 16, or 32 with AVX-512.
#ifdef __AVX512VL__
  constexpr int kVecs = 8;
#else
  constexpr int kVecs = HEADS == 1 ? 8 : 4;
#endif
  int column = 0;
  for (; column + kVecs * kLanes <= a.head_dim; column += kVecs * kLanes) {
    WeightedSumTile<HEADS, kVecs, T>(a, sequence, weights, padded, num_slots, kv_head, column, out + column);
  }
  for (; column < a.head_dim; column += kLanes) {
    WeightedSumTile<HEADS, 1, T>(a, sequence, weights, padded, num_slots, kv_head, column, out + column);
  }
}

template <typename T>
VARSERVE_INLINE void WeightedSum(const AttentionArgs& a, const AttentionSequence& sequence,
                                 const float* weights, int padded, int num_slots, int kv_head, int group,
                                 float* out) {
  int g = 0;
  for (; g + 3 <= group; g += 3) {
    WeightedSumHeads<3, T>(a, sequence, weights + g * padded, padded, num_slots, kv_head,
                           out + g * a.head_dim);
  }
  for (; g + 2 <= group; g += 2) {
    WeightedSumHeads<2, T>(a, sequence, weights + g * padded, padded, num_slots, kv_head,
                           out + g * a.head_dim);
  }
  for (; g < group; ++g) {
    WeightedSumHeads<1, T>(a, sequence, weights + g * padded, padded, num_slots, kv_head,
                           out + g * a.head_dim);
  }
}

// VAR on the weights of one row's head group; fills the row's sums.
VARSERVE_INLINE void RedistributeGroup(const AttentionArgs& a, const AttentionSequence& sequence,
                                       const AttentionRow& row, int group, int padded, float* weights,
                                       float* sink, RowSums* sums) {
  FindSinks(a, sequence, row, padded, sink);
  float num_visual = 0.0F;
  float num_visual_sinks = 0.0F;
  if (row.authors_code) {
    for (int j = 0; j < row.num_slots; ++j) {
      num_visual += sequence.visual[j];
      num_visual_sinks += sequence.visual[j] * sink[j];
    }
  }
  *sums = RowSums{};
  for (int g = 0; g < group; ++g) {
    float* head = weights + static_cast<int64_t>(g) * padded;
    const Masses m = MassesOf(head, sequence.visual, sink, padded);
    // The paper compares the visual attention on non-sinks with rho; the authors' code the one on sinks with
    // 1 - rho, adds 1e-6 for every visual token, and leaves a layer without visual sinks alone.
    const bool image_centric =
        m.visual >= row.min_visual_attention && m.visual_nonsink > 0.0F &&
        (row.authors_code
             ? num_visual_sinks > 0.0F && m.visual_sink / (m.visual + num_visual * 1e-6F) <= 1.0F - row.rho
             : m.visual_nonsink / m.visual >= row.rho);
    sums->visual_before += m.visual;
    if (!image_centric) {
      sums->visual_after += m.visual;
      continue;
    }
    const float omega = row.p * (m.visual_sink + m.text_sink);
    sums->image_centric_heads += 1.0F;
    sums->redistributed += omega;
    sums->visual_after += m.visual + omega - row.p * m.visual_sink;
    if (omega > 0.0F)
      Redistribute(head, sequence.visual, sink, padded, row.p, 1.0F + omega / m.visual_nonsink);
  }
}

// SCORES tells the type of K and V (Key) and how scores come about:
// Compute(args, sequence, q, kv_head, group, padded, fetch, scores, packed) sets scores[g, slot] = q[g]
// k[slot] for whole blocks, with FetchAhead if `fetch`; `packed` has room for the group's queries.
template <typename SCORES>
static void AttentionTyped(const AttentionArgs& a, float* scratch, int piece_begin, int piece_end) {
  const int group = a.heads / a.kv_heads;
  for (int piece = piece_begin; piece < piece_end; ++piece) {
    const int r = piece % a.num_rows;
    const int kv_head = piece / a.num_rows;
    const AttentionRow& row = a.rows[r];
    const AttentionSequence& sequence = a.sequences[row.sequence];
    const int padded = (row.num_slots + a.block_size - 1) / a.block_size * a.block_size;
    const int64_t head = static_cast<int64_t>(kv_head) * group;
    const float* q = a.q + r * a.q_stride + head * a.head_dim;
    float* out = a.out + r * a.out_stride + head * a.head_dim;
    float* weights = scratch;                // [group, padded]
    float* sink = weights + group * padded;  // [padded]
    float* packed = sink + padded;           // [group, PackedInputs(D)]

    // K and V of the piece before are in the cache.
    const bool fetch = piece == piece_begin || r == 0 || a.rows[r - 1].sequence != row.sequence;
    SCORES::Compute(a, sequence, q, kv_head, group, padded, fetch, weights, packed);
    for (int g = 0; g < group; ++g) {
      Softmax(weights + g * padded, a.scale, row.num_slots, padded, sequence.empty_begin, sequence.empty_end);
    }
    float* map = row.map < 0 || a.map_flags[row.map] == 0
                     ? nullptr
                     : a.maps + (static_cast<int64_t>(row.map) * a.kv_heads + kv_head) * 2 * a.map_slots;
    if (map != nullptr) {
      for (int g = 0; g < group; ++g) AddTo(map, weights + g * padded, padded);
    }
    if (a.layer >= row.first_layer && a.layer <= row.last_layer) {
      RedistributeGroup(a, sequence, row, group, padded, weights, sink,
                        a.sums + static_cast<int64_t>(r) * a.kv_heads + kv_head);
    }
    if (map != nullptr) {
      for (int g = 0; g < group; ++g) AddTo(map + a.map_slots, weights + g * padded, padded);
    }
    WeightedSum<typename SCORES::Key>(a, sequence, weights, padded, row.num_slots, kv_head, group, out);
  }
}

}  // namespace varserve::kernels::VARSERVE_ISA
