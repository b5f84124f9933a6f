// Linear layers with quantized weights and tiles of bfloat16 (AMX). A group's integers of one panel are
// widened to bfloat16 in the L1 cache, for all rows. Included only by isa_amx_bf16.cc, and by a test with
// emulated tiles.
#pragma once

#include "server/backend/cpu/linear_amx.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// WIDEN(weights, panel, group, widened) writes the integers of a panel's group as in weight_panels.h.
template <typename TILES, auto WIDEN>
static void LinearQuantizedTiles(const QuantizedLinearArgs& a, int row_begin, int row_end, int panel_begin,
                                 int panel_end) {
  static constexpr float kNothing[kPanelOutputs] = {};
  constexpr int kMostRows = 2 * kTileRows;
  const QuantizedShape& shape = a.w.shape;
  alignas(64) uint16_t widened[kMostGroup / 2 * kPanelStep];
  alignas(64) float sums[kMostRows * kPanelOutputs];
  TileRows<TILES> tiles;
  for (int panel = panel_begin; panel < panel_end; ++panel) {
    const int n = panel * kPanelOutputs;
    const int outputs = shape.out - n < kPanelOutputs ? shape.out - n : kPanelOutputs;
    const LinearArgs start{.bias = a.bias, .accumulate = a.accumulate};
    for (int m = row_begin; m < row_end; ++m) StartOutputs(start, a.y + m * a.y_stride, n, n + outputs);
    for (int g = 0; g < shape.groups(); ++g) {
      WIDEN(a.w, panel, g, widened);
      const float* scales = a.w.scales + shape.first_scale(panel, g);
      for (int first = row_begin; first < row_end; first += kMostRows) {
        const int rows = row_end - first < kMostRows ? row_end - first : kMostRows;
        const TileArgs group{
            .x = reinterpret_cast<const uint16_t*>(a.x + first * a.x_stride) + int64_t{g} * shape.group,
            .x_stride = 2 * a.x_stride,
            .w = widened,
            .pairs = shape.group / 2,
            .rest = nullptr,
            .ahead = 0,
            .start = kNothing,
            .start_stride = 0,
            .y = sums,
            .y_stride = kPanelOutputs};
        Rows<kPanelTiles>(tiles, group, rows);
        for (int m = 0; m < rows; ++m) {
          float* y = a.y + (first + m) * a.y_stride + n;
          for (int i = 0; i < outputs; ++i) y[i] += scales[i] * sums[m * kPanelOutputs + i];
        }
      }
    }
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
