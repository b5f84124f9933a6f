// Visual Attention Redistribution of one row's attention weights (docs/var.md, "Redistribution"). The weights
// are explicit float32 values, so this is a few passes over numbers that are in the cache anyway. Included
// only by isa_*.cc.
#pragma once

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// sink[slot] = 1 if the slot holds a sink of this layer, else 0 (docs/var.md, "Sinks").
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

// Attention of one head by type of slot: m_v, m_vs, m_vn, m_ts in docs/var.md, "Redistribution".
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

// Takes share p of every sink's weight and distributes it over the visual tokens that are not sinks.
VARSERVE_INLINE void Redistribute(float* weights, const float* visual, const float* sink, int padded, float p,
                                  float boost) {
  for (int j = 0; j < padded; j += kLanes) {
    const Vec s = Load(sink + j);
    const Vec v = Load(visual + j);
    const Vec factor = s * (1.0F - p) + (1.0F - s) * (v * boost + (1.0F - v));
    Store(weights + j, Load(weights + j) * factor);
  }
}

// Applies VAR to the weights of one row's head group, and fills the row's sums.
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
    // The paper compares the visual attention on non-sinks with rho. The authors' code compares that on sinks
    // with 1 - rho, adds 1e-6 for every visual token, and leaves a layer without visual sinks unchanged.
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
    sums->changed_heads += 1.0F;
    sums->redistributed += omega;
    sums->visual_after += m.visual + omega - row.p * m.visual_sink;
    if (omega > 0.0F)
      Redistribute(head, sequence.visual, sink, padded, row.p, 1.0F + omega / m.visual_nonsink);
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
