// The loop of linear layers with quantized weights. Included only by isa_*.cc.
#pragma once

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/linear_start.h"

namespace varserve::backend::cpu::VARSERVE_ISA {

// Starts the outputs of each panel, then calls add(panel, outputs), which adds the panel's products to y,
// group by group, so that each output is one chain of operations for any range of rows and panels. `outputs`
// of the panel exist.
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

}  // namespace varserve::backend::cpu::VARSERVE_ISA
