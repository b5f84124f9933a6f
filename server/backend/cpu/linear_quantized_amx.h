// Linear layers with quantized weights and tiles of bfloat16 (AMX). A group's integers of one panel are
// widened to bfloat16 in the L1 cache, for all rows. Included only by isa_amx_bf16.cc, and by a test with
// emulated tiles.
#pragma once

#include "server/backend/cpu/for_panels.h"
#include "server/backend/cpu/linear_amx.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// WIDEN(weights, panel, group, widened) writes the integers of a panel's group as in weight_panels.h.
template <typename TILES, auto WIDEN>
static void LinearQuantizedTiles(const QuantizedLinearArgs& a, int row_begin, int row_end, int panel_begin,
                                 int panel_end) {
  constexpr int kRows = 2 * kTileRows;
  static constexpr float kNothing[kPanelOutputs] = {};
  const QuantizedShape& shape = a.w.shape;
  alignas(64) uint16_t widened[kMostGroup / 2 * kPanelStep];
  alignas(64) float sums[kRows * kPanelOutputs];  // of a group, before they are scaled
  TileRows<TILES> tiles;
  ForPanels(a, row_begin, row_end, panel_begin, panel_end, [&](int panel, int outputs) {
    for (int group = 0; group < shape.groups(); ++group) {
      WIDEN(a.w, panel, group, widened);
      const float* const scales = a.w.scales + shape.first_scale(panel, group);
      for (int first = row_begin; first < row_end; first += kRows) {
        const int rows = row_end - first < kRows ? row_end - first : kRows;
        const TileArgs product{
            .x = reinterpret_cast<const uint16_t*>(a.x + first * a.x_stride) + int64_t{group} * shape.group,
            .x_stride = 2 * a.x_stride,
            .w = widened,
            .pairs = shape.group / 2,
            .rest = nullptr,
            .ahead = 0,
            .start = kNothing,
            .start_stride = 0,
            .y = sums,
            .y_stride = kPanelOutputs};
        Rows<kPanelTiles>(tiles, product, rows);
        for (int m = 0; m < rows; ++m) {
          float* const y = a.y + (first + m) * a.y_stride + panel * kPanelOutputs;
          for (int i = 0; i < outputs; ++i) y[i] += scales[i] * sums[m * kPanelOutputs + i];
        }
      }
    }
  });
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
