#include "server/backend/cpu/weight_panels.h"

#include <algorithm>
#include <cstring>

namespace varserve::backend::cpu {

void PackPanels(const PanelShape& shape, const uint16_t* weights, int begin, int end, uint16_t* packed) {
  for (int panel = begin; panel < end; ++panel) {
    uint16_t* to = packed + panel * shape.panel_size();
    const int first = panel * kPanelOutputs;
    const int outputs = std::min(kPanelOutputs, shape.out - first);
    if (outputs < kPanelOutputs || shape.in % 2 != 0) std::fill_n(to, shape.panel_size(), uint16_t{0});
    for (int n = 0; n < outputs; ++n) {
      const uint16_t* row = weights + static_cast<int64_t>(first + n) * shape.in;
      for (int k = 0; k < shape.in; k += 2) {
        const int count = std::min(2, shape.in - k);
        std::memcpy(to + static_cast<int64_t>(k) * kPanelOutputs + 2 * n, row + k, count * sizeof(uint16_t));
      }
    }
  }
}

void ReadPanelRow(const PanelShape& shape, const uint16_t* packed, int output, float* row) {
  const uint16_t* from =
      packed + output / kPanelOutputs * shape.panel_size() + int64_t{2} * (output % kPanelOutputs);
  for (int k = 0; k < shape.in; ++k) {
    const uint32_t bits = static_cast<uint32_t>(from[k / 2 * int64_t{2} * kPanelOutputs + k % 2]) << 16;
    std::memcpy(row + k, &bits, sizeof(bits));
  }
}

}  // namespace varserve::backend::cpu
