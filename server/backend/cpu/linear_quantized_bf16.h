// Linear layers with quantized weights and instructions that multiply pairs of bfloat16. A group's integers
// of one panel are widened to bfloat16 in the L1 cache, for all rows. Included only by isa_avx512_bf16.cc.
#pragma once

#include <immintrin.h>

#include "server/backend/cpu/linear_bf16.h"
#include "server/backend/cpu/quantized_groups.h"
#include "server/backend/cpu/widen_bf16.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

struct GroupTileArgs {
  const uint16_t* x;  // [rows, pairs, 2], rows x_stride apart
  int64_t x_stride;
  const uint16_t* w;  // [pairs, kPanelOutputs, 2]
  int pairs;
  const float* scales;  // [kPanelOutputs]
  float* y;             // [rows, outputs], rows y_stride apart
  int64_t y_stride;
  __mmask16 valid[kPanelVecs];
};

// y += scale * (x w). Each output is one chain of operations in a group, and groups follow each other, for
// any number of rows.
template <int ROWS>
[[gnu::noinline]] static void GroupTile(const GroupTileArgs& t) {
  __m512 acc[ROWS][kPanelVecs];
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < kPanelVecs; ++v) acc[i][v] = _mm512_setzero_ps();
  }
  const uint16_t* w = t.w;
  for (int k = 0; k < t.pairs; ++k, w += kPanelStep) {
    __m512bh weights[kPanelVecs];
    for (int v = 0; v < kPanelVecs; ++v)
      weights[v] = reinterpret_cast<__m512bh>(_mm512_load_si512(w + v * kCodesOfVector));
    for (int i = 0; i < ROWS; ++i) {
      int32_t pair;
      std::memcpy(&pair, t.x + i * t.x_stride + 2 * k, sizeof(pair));
      const auto input = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      for (int v = 0; v < kPanelVecs; ++v) acc[i][v] = _mm512_dpbf16_ps(acc[i][v], input, weights[v]);
    }
  }
  for (int v = 0; v < kPanelVecs; ++v) {
    const __m512 scale = _mm512_loadu_ps(t.scales + v * kWide);
    for (int i = 0; i < ROWS; ++i) {
      float* const y = t.y + i * t.y_stride + v * kWide;
      const __m512 sum = _mm512_fmadd_ps(acc[i][v], scale, _mm512_maskz_loadu_ps(t.valid[v], y));
      _mm512_mask_storeu_ps(y, t.valid[v], sum);
    }
  }
}

static void GroupRows(GroupTileArgs t, int rows) {
  static constexpr decltype(&GroupTile<1>) kTiles[kTileRows] = {GroupTile<1>, GroupTile<2>, GroupTile<3>,
                                                                GroupTile<4>, GroupTile<5>, GroupTile<6>,
                                                                GroupTile<7>, GroupTile<8>};
  for (int tiles = (rows + kTileRows - 1) / kTileRows; tiles > 0; --tiles) {
    const int height = (rows + tiles - 1) / tiles;
    kTiles[height - 1](t);
    rows -= height;
    t.x += height * t.x_stride;
    t.y += height * t.y_stride;
  }
}

static void LinearQuantized(const QuantizedLinearArgs& a, int row_begin, int row_end, int panel_begin,
                            int panel_end) {
  const QuantizedShape& shape = a.w.shape;
  alignas(64) uint16_t widened[kMostGroup / 2 * kPanelStep];
  ForGroups(a, row_begin, row_end, panel_begin, panel_end, [&](int panel, int group, int outputs) {
    WidenGroup(a.w, panel, group, widened);
    GroupTileArgs t{
        .x = reinterpret_cast<const uint16_t*>(a.x + row_begin * a.x_stride) + group * shape.group,
        .x_stride = 2 * a.x_stride,
        .w = widened,
        .pairs = shape.group / 2,
        .scales = a.w.scales + shape.first_scale(panel, group),
        .y = a.y + row_begin * a.y_stride + panel * kPanelOutputs,
        .y_stride = a.y_stride};
    for (int v = 0; v < kPanelVecs; ++v) {
      const int left = outputs - v * kWide;
      t.valid[v] = left >= kWide ? 0xffff : left <= 0 ? 0 : static_cast<__mmask16>((1U << left) - 1);
    }
    GroupRows(t, row_end - row_begin);
  });
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
