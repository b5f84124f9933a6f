// Linear layers with quantized weights and tiles of bfloat16 (AMX). A group's integers of one panel are
// widened to bfloat16 in the L1 cache, for all rows. Included only by isa_amx_bf16.cc, and by a test with
// emulated tiles.
#pragma once

#include "server/backend/cpu/linear_amx.h"
#include "server/backend/cpu/quantized_groups.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// WIDEN(weights, panel, group, widened) writes the integers of a panel's group as in weight_panels.h.
template <typename TILES, auto WIDEN>
static void LinearQuantizedTiles(const QuantizedLinearArgs& a, int row_begin, int row_end, int panel_begin,
                                 int panel_end) {
  static constexpr float kNothing[kPanelOutputs] = {};
  alignas(64) uint16_t widened[kMostGroup / 2 * kPanelStep];
  TileRows<TILES> tiles;
  AddScaledGroups<2 * kTileRows>(
      a, row_begin, row_end, panel_begin, panel_end,
      [&](int panel, int group) { WIDEN(a.w, panel, group, widened); },
      [&](int first, int rows, int group, float* sums) {
        const TileArgs product{.x = reinterpret_cast<const uint16_t*>(a.x + first * a.x_stride) +
                                    int64_t{group} * a.w.shape.group,
                               .x_stride = 2 * a.x_stride,
                               .w = widened,
                               .pairs = a.w.shape.group / 2,
                               .rest = nullptr,
                               .ahead = 0,
                               .start = kNothing,
                               .start_stride = 0,
                               .y = sums,
                               .y_stride = kPanelOutputs};
        Rows<kPanelTiles>(tiles, product, rows);
      });
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
