// The loops of linear layers with quantized weights: panel by panel, and in it group by group, so that each
// output is one chain of operations for any range of rows and panels. Included only by isa_*.cc.
#pragma once

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/linear_start.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// Starts the outputs of each panel, then calls add(panel, outputs), which adds the panel's products to y.
// `outputs` of the panel exist.
template <typename Add>
static inline void ForPanels(const QuantizedLinearArgs& a, int row_begin, int row_end, int panel_begin,
                             int panel_end, const Add& add) {
  for (int panel = panel_begin; panel < panel_end; ++panel) {
    const int n = panel * kPanelOutputs;
    const int outputs = a.w.shape.out - n < kPanelOutputs ? a.w.shape.out - n : kPanelOutputs;
    for (int m = row_begin; m < row_end; ++m) StartOutputs(a, a.y + m * a.y_stride, n, n + outputs);
    add(panel, outputs);
  }
}

// The same group by group, by way of sums that are scaled and added afterwards, ROWS rows at a time.
//   widen(panel, group)         makes the group's integers ready
//   multiply(first, rows, group, sums)  sums: [rows, kPanelOutputs], of rows [first, first + rows)
template <int ROWS, typename Widen, typename Multiply>
static inline void AddScaledGroups(const QuantizedLinearArgs& a, int row_begin, int row_end, int panel_begin,
                                   int panel_end, const Widen& widen, const Multiply& multiply) {
  alignas(64) float sums[ROWS * kPanelOutputs];
  ForPanels(a, row_begin, row_end, panel_begin, panel_end, [&](int panel, int outputs) {
    for (int group = 0; group < a.w.shape.groups(); ++group) {
      widen(panel, group);
      const float* const scales = a.w.scales + a.w.shape.first_scale(panel, group);
      for (int first = row_begin; first < row_end; first += ROWS) {
        const int rows = row_end - first < ROWS ? row_end - first : ROWS;
        multiply(first, rows, group, sums);
        for (int m = 0; m < rows; ++m) {
          float* const y = a.y + (first + m) * a.y_stride + panel * kPanelOutputs;
          for (int i = 0; i < outputs; ++i) y[i] += scales[i] * sums[m * kPanelOutputs + i];
        }
      }
    }
  });
}

}  // namespace varserve::backend::cpu::VARSERVE_ISA
