#include "server/backend/cpu/weight_panels.h"

#include <algorithm>
#include <cstring>

namespace varserve::backend::cpu {

namespace {

constexpr int kTile = 4;  // rows and pairs that are transposed in registers

using Pairs = uint32_t __attribute__((vector_size(kTile * sizeof(uint32_t))));

// Pairs of inputs [k, k + 2 kTile) of kTile rows, to kTile places kPanelStep apart.
void Transpose(const uint16_t* const* rows, int k, uint16_t* to) {
  Pairs in[kTile];
  for (int n = 0; n < kTile; ++n) std::memcpy(&in[n], rows[n] + k, sizeof(Pairs));
  const Pairs low01 = __builtin_shufflevector(in[0], in[1], 0, 4, 1, 5);
  const Pairs low23 = __builtin_shufflevector(in[2], in[3], 0, 4, 1, 5);
  const Pairs high01 = __builtin_shufflevector(in[0], in[1], 2, 6, 3, 7);
  const Pairs high23 = __builtin_shufflevector(in[2], in[3], 2, 6, 3, 7);
  const Pairs out[kTile] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
                            __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                            __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
                            __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
  for (int i = 0; i < kTile; ++i) std::memcpy(to + i * kPanelStep, &out[i], sizeof(Pairs));
}

// Pairs of inputs [begin, end) of a panel's rows. to: the panel
void PackPairs(std::span<const uint16_t* const> rows, int begin, int end, uint16_t* to) {
  constexpr size_t kPairBytes = 2 * sizeof(uint16_t);  // a constant: each copy is one move
  const auto place = [to](int k, size_t n) { return to + static_cast<int64_t>(k) * kPanelOutputs + 2 * n; };
  for (size_t n = 0; n < rows.size();) {
    const size_t together = n + kTile <= rows.size() ? kTile : 1;
    int k = begin;
    if (together == kTile) {
      for (; k + 2 * kTile <= end; k += 2 * kTile) Transpose(&rows[n], k, place(k, n));
    }
    for (; k < end; k += 2) {
      for (size_t i = n; i < n + together; ++i) std::memcpy(place(k, i), rows[i] + k, kPairBytes);
    }
    n += together;
  }
}

}  // namespace

void PackPanels(const PanelShape& shape, std::span<const uint16_t* const> rows, int begin, int end,
                uint16_t* packed) {
  // Inputs of all of a panel's rows at a time, so that it is written in the L1 cache.
  constexpr int kBlock = 256;
  const int even = shape.in / 2 * 2;
  for (int panel = begin; panel < end; ++panel) {
    uint16_t* to = packed + panel * shape.panel_size();
    const int first = panel * kPanelOutputs;
    const auto own = rows.subspan(first, std::min(kPanelOutputs, shape.out - first));
    if (own.size() < kPanelOutputs || even < shape.in) std::fill_n(to, shape.panel_size(), uint16_t{0});
    for (int block = 0; block < even; block += kBlock)
      PackPairs(own, block, std::min(block + kBlock, even), to);
    for (size_t n = 0; n < own.size() && even < shape.in; ++n)
      to[static_cast<int64_t>(even) * kPanelOutputs + 2 * n] = own[n][even];
  }
}

void PackPanelsOfColumns(const PanelShape& shape, std::span<const uint16_t* const> columns,
                         uint16_t* packed) {
  std::fill_n(packed, shape.size(), uint16_t{0});
  const auto count = static_cast<int>(columns.size());
  const std::vector<uint16_t> none(shape.out);
  for (int first = 0; first < shape.out; first += kPanelOutputs, packed += shape.panel_size()) {
    const int outputs = std::min(kPanelOutputs, shape.out - first);
    for (int k = 0; k < count; k += 2) {
      const uint16_t* const even = columns[k] + first;
      const uint16_t* const odd = (k + 1 < count ? columns[k + 1] : none.data()) + first;
      uint16_t* const to = packed + int64_t{k} * kPanelOutputs;
      for (int n = 0; n < outputs; ++n) {
        to[2 * n] = even[n];
        to[2 * n + 1] = odd[n];
      }
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
