#include "server/backend/cpu/weight_panels.h"

#include <algorithm>
#include <cstring>

namespace varserve::backend::cpu {

void PackPanels(const PanelShape& shape, std::span<const uint16_t* const> rows, int begin, int end,
                uint16_t* packed) {
  // Inputs of all of a panel's rows at a time, so that it is written in the L1 cache.
  constexpr int kBlock = 256;
  constexpr size_t kPairBytes = 2 * sizeof(uint16_t);  // a constant: each copy is one move
  const int even = shape.in / 2 * 2;
  for (int panel = begin; panel < end; ++panel) {
    uint16_t* to = packed + panel * shape.panel_size();
    const auto place = [to](int k, int n) { return to + static_cast<int64_t>(k) * kPanelOutputs + 2 * n; };
    const int first = panel * kPanelOutputs;
    const int outputs = std::min(kPanelOutputs, shape.out - first);
    if (outputs < kPanelOutputs || even < shape.in) std::fill_n(to, shape.panel_size(), uint16_t{0});
    for (int block = 0; block < even; block += kBlock) {
      const int block_end = std::min(block + kBlock, even);
      for (int n = 0; n < outputs; ++n) {
        const uint16_t* row = rows[first + n];
        for (int k = block; k < block_end; k += 2) std::memcpy(place(k, n), row + k, kPairBytes);
      }
    }
    for (int n = 0; n < outputs && even < shape.in; ++n)
      std::memcpy(place(even, n), rows[first + n] + even, sizeof(uint16_t));
  }
}

void PackPanelsOfColumns(const PanelShape& shape, std::span<const uint16_t* const> columns,
                         uint16_t* packed) {
  std::fill_n(packed, shape.size(), uint16_t{0});
  const auto count = static_cast<int>(columns.size());
  for (int first = 0; first < shape.out; first += kPanelOutputs, packed += shape.panel_size()) {
    const int outputs = std::min(kPanelOutputs, shape.out - first);
    for (int k = 0; k < count; ++k) {
      uint16_t* to = packed + k / 2 * kPanelStep + k % 2;
      for (int n = 0; n < outputs; ++n) to[2 * n] = columns[k][first + n];
    }
  }
}

std::vector<const uint16_t*> RowPointers(const uint16_t* matrix, int64_t rows, int64_t in) {
  std::vector<const uint16_t*> pointers(rows);
  for (int64_t n = 0; n < rows; ++n) pointers[n] = matrix + n * in;
  return pointers;
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
