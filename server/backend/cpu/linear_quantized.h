// Linear layers with quantized weights by rows, by way of the bfloat16 layer of the same instruction set: a
// group's integers of one panel, widened to bfloat16, are a small matrix. Included only by isa_*.cc whose
// bfloat16 weights are stored row by row.
#pragma once

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/linear_start.h"
#include "server/backend/cpu/vec.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// A small integer, exactly.
VARSERVE_INLINE uint16_t BFloat16Of(int integer) {
  const auto value = static_cast<float>(integer);
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>(bits >> 16);
}

// Integers of one panel and group as bfloat16, [kPanelOutputs, group].
static void WidenGroup(const QuantizedShape& shape, const uint8_t* codes, const uint8_t* zeros,
                       uint16_t* widened) {
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
  const QuantizedShape& shape = a.w.shape;
  alignas(64) uint16_t widened[kPanelOutputs * kMostGroup];
  alignas(64) float sums[kRows * kPanelOutputs];
  for (int panel = panel_begin; panel < panel_end; ++panel) {
    const int n = panel * kPanelOutputs;
    const int outputs = shape.out - n < kPanelOutputs ? shape.out - n : kPanelOutputs;
    const LinearArgs start{.bias = a.bias, .accumulate = a.accumulate};
    for (int m = row_begin; m < row_end; ++m) StartOutputs(start, a.y + m * a.y_stride, n, n + outputs);
    for (int g = 0; g < shape.groups(); ++g) {
      const int64_t first_scale = (int64_t{panel} * shape.groups() + g) * kPanelOutputs;
      WidenGroup(shape, a.w.codes + panel * shape.panel_bytes() + g * shape.group_bytes(),
                 a.w.zeros != nullptr ? a.w.zeros + first_scale : nullptr, widened);
      const float* const scales = a.w.scales + first_scale;
      for (int first = row_begin; first < row_end; first += kRows) {
        const int rows = row_end - first < kRows ? row_end - first : kRows;
        const LinearArgs group{.x = a.x + first * a.x_stride + int64_t{g} * shape.group,
                               .w = widened,
                               .y = sums,
                               .x_stride = a.x_stride,
                               .y_stride = kPanelOutputs,
                               .rows = rows,
                               .in = shape.group,
                               .out = kPanelOutputs,
                               .w_type = StorageType::kBFloat16};
        Linear(group, 0, rows, 0, kPanelOutputs);
        for (int m = 0; m < rows; ++m) {
          float* const y = a.y + (first + m) * a.y_stride + n;
          for (int i = 0; i < outputs; ++i) y[i] += scales[i] * sums[m * kPanelOutputs + i];
        }
      }
    }
  }
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
