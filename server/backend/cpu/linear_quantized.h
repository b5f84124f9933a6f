// Linear layers with quantized weights by rows, by way of the bfloat16 layer of the same instruction set: a
// group's integers of one panel, widened to bfloat16, are a small matrix. Included only by
// isa_baseline.cc.
#pragma once

#include "server/backend/cpu/quantized_groups.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// Integers of one panel and group as bfloat16, [kPanelOutputs, group].
static void WidenGroup(const QuantizedWeights& w, int panel, int group, uint16_t* widened) {
  const QuantizedShape& shape = w.shape;
  const uint8_t* codes = w.codes + panel * shape.panel_bytes() + group * shape.group_bytes();
  const uint8_t* const zeros = w.zeros != nullptr ? w.zeros + shape.first_scale(panel, group) : nullptr;
  for (int n = 0; n < kPanelOutputs; ++n, widened += shape.group) {
    if (shape.bits == 8) {
      for (int k = 0; k < shape.group; ++k) widened[k] = BFloat16Of(static_cast<int8_t>(codes[k]));
      codes += shape.group;
      continue;
    }
    const int zero = zeros != nullptr ? zeros[n] : kZero4;
    for (int k = 0; k < shape.group; k += 32, codes += 16) {
      for (int i = 0; i < 16; ++i) widened[k + i] = BFloat16Of((codes[i] & 15) - zero);
      for (int i = 0; i < 16; ++i) widened[k + 16 + i] = BFloat16Of((codes[i] >> 4) - zero);
    }
  }
}

static void LinearQuantized(const QuantizedLinearArgs& a, int row_begin, int row_end, int panel_begin,
                            int panel_end) {
  constexpr int kRows = 32;  // whose sums stay in the L1 cache
  alignas(64) uint16_t widened[kPanelOutputs * kMostGroup];
  AddScaledGroups<kRows>(
      a, row_begin, row_end, panel_begin, panel_end,
      [&](int panel, int group) { WidenGroup(a.w, panel, group, widened); },
      [&](int first, int rows, int group, float* sums) {
        const LinearArgs product{.x = a.x + first * a.x_stride + int64_t{group} * a.w.shape.group,
                                 .w = widened,
                                 .y = sums,
                                 .x_stride = a.x_stride,
                                 .y_stride = kPanelOutputs,
                                 .rows = rows,
                                 .in = a.w.shape.group,
                                 .out = kPanelOutputs,
                                 .w_type = StorageType::kBFloat16};
        Linear(product, 0, rows, 0, kPanelOutputs);
      });
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
