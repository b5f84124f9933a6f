// Linear layers with quantized weights and instructions that multiply pairs of bfloat16. Of few rows, a
// group's integers are widened to bfloat16 in registers; of many, in the L1 cache, for all rows. Included
// only by isa_avx512_bf16.cc.
#pragma once

#include <immintrin.h>

#include "server/backend/cpu/linear_bf16.h"
#include "server/backend/cpu/quantized_groups.h"
#include "server/backend/cpu/widen_bf16.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// bfloat16 weights in the cache, by pairs.
class Widened {
 public:
  static constexpr int kPairs = 1;
  explicit Widened(const uint8_t* /*zeros*/) {}
  void Widen(const uint8_t* widened, int /*v*/, __m512i pairs[kPairs]) const {
    pairs[0] = _mm512_loadu_si512(widened);
  }
};

struct GroupTileArgs {
  const uint16_t* x;  // [rows, pairs, 2], rows x_stride apart
  int64_t x_stride;
  const uint8_t* w;  // steps
  int pairs;
  const float* scales;   // [kPanelOutputs]
  const uint8_t* zeros;  // [kPanelOutputs]
  float* y;              // [rows, outputs], rows y_stride apart
  int64_t y_stride;
  __mmask16 valid[kPanelVecs];
};

// y += scale * (x w). Each output is one chain of operations in a group, and groups follow each other, for
// any number of rows.
template <typename Codes, int ROWS>
[[gnu::noinline]] static void GroupTile(const GroupTileArgs& t) {
  const Codes source(t.zeros);
  __m512 acc[ROWS][kPanelVecs];
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < kPanelVecs; ++v) acc[i][v] = _mm512_setzero_ps();
  }
  const uint8_t* w = t.w;
  for (int k = 0; k < t.pairs; k += Codes::kPairs, w += kStepBytes) {
    for (int v = 0; v < kPanelVecs; ++v) {
      __m512i weights[Codes::kPairs];
      if (Codes::kPairs > 1) __builtin_prefetch(w + kAheadBytes + v * kVectorBytes, /*rw=*/0, /*locality=*/2);
      source.Widen(w + v * kVectorBytes, v, weights);
      for (int p = 0; p < Codes::kPairs; ++p) {
        for (int i = 0; i < ROWS; ++i) {
          int32_t pair;
          std::memcpy(&pair, t.x + i * t.x_stride + 2 * (k + p), sizeof(pair));
          const auto input = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
          acc[i][v] = _mm512_dpbf16_ps(acc[i][v], input, reinterpret_cast<__m512bh>(weights[p]));
        }
      }
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

template <typename Codes>
static void GroupRows(GroupTileArgs t, int rows) {
  static constexpr decltype(&GroupTile<Codes, 1>) kTiles[kTileRows] = {
      GroupTile<Codes, 1>, GroupTile<Codes, 2>, GroupTile<Codes, 3>, GroupTile<Codes, 4>,
      GroupTile<Codes, 5>, GroupTile<Codes, 6>, GroupTile<Codes, 7>, GroupTile<Codes, 8>};
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
    GroupTileArgs t{
        .x = reinterpret_cast<const uint16_t*>(a.x + row_begin * a.x_stride) + group * shape.group,
        .x_stride = 2 * a.x_stride,
        .w = a.w.codes + panel * shape.panel_bytes() + group * shape.group_bytes(),
        .pairs = shape.group / 2,
        .scales = a.w.scales + shape.first_scale(panel, group),
        .zeros = a.w.zeros + shape.first_scale(panel, group),
        .y = a.y + row_begin * a.y_stride + panel * kPanelOutputs,
        .y_stride = a.y_stride};
    for (int v = 0; v < kPanelVecs; ++v) {
      const int left = outputs - v * kWide;
      t.valid[v] = left >= kWide ? 0xffff : left <= 0 ? 0 : static_cast<__mmask16>((1U << left) - 1);
    }
    const int rows = row_end - row_begin;
    if (rows <= kTileRows) return (shape.bits == 8 ? GroupRows<Codes8> : a.w.zeros ? GroupRows<Codes4WithZeros> : GroupRows<Codes4>)(t, rows);
    WidenGroup(a.w, panel, group, widened);
    t.w = reinterpret_cast<const uint8_t*>(widened);
    GroupRows<Widened>(t, row_end - row_begin);
  });
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
