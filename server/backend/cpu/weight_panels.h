// bfloat16 weights in the order in which the AVX-512 linear kernels read them. A panel has kPanelOutputs
// outputs; it stores one pair of inputs after another, and for each pair the panel's outputs. So one vector
// holds a pair of inputs for sixteen outputs, sums need no adding of lanes, and memory is read sequentially.
// The last panel and the last pair are padded with zeros.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace varserve::backend::cpu {

inline constexpr int kPanelOutputs = 48;
inline constexpr int kPanelStep = 2 * kPanelOutputs;  // weights from one pair of inputs to the next

struct PanelShape {
  int out = 0;  // N
  int in = 0;   // K

  int panels() const { return (out + kPanelOutputs - 1) / kPanelOutputs; }
  int pairs() const { return (in + 1) / 2; }
  int64_t panel_size() const { return int64_t{2} * pairs() * kPanelOutputs; }  // weights
  int64_t size() const { return panels() * panel_size(); }
};

// Fills panels [begin, end) of `packed` [panels, pairs, kPanelOutputs, 2] from the weights' rows, N pointers
// to K weights.
void PackPanels(const PanelShape& shape, std::span<const uint16_t* const> rows, int begin, int end,
                uint16_t* packed);
// The same for all panels, from the weights' columns: K or fewer pointers to N weights. Missing ones are 0.
void PackPanelsOfColumns(const PanelShape& shape, std::span<const uint16_t* const> columns, uint16_t* packed);
// The rows of a matrix [rows, in].
std::vector<const uint16_t*> RowPointers(const uint16_t* matrix, int64_t rows, int64_t in);

// Reads row `output` of the weights as float32. row: [K]
void ReadPanelRow(const PanelShape& shape, const uint16_t* packed, int output, float* row);

}  // namespace varserve::backend::cpu
