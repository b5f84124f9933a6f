// Weights of 4 or 8 bits in the order in which the quantized linear kernels read them. A weight is
// (code - zero) * scale; scale and zero belong to an output and a group of inputs.
//
// Panels of kPanelOutputs outputs; in a panel one group after the other, and in a group steps of four bytes
// for each of the panel's outputs: four inputs of 8 bits, in order, or eight inputs of 4 bits: the even ones
// in the first two bytes, the odd ones in the others. A low half is before the high half of its byte. A byte
// of 8 bit weights is code - 128. Scales and zeros: [panels, groups, kPanelOutputs]. The last panel is padded
// with weights of 0.
#pragma once

#include <cstdint>

#include "server/backend/cpu/weight_panels.h"

namespace varserve::backend::cpu {

inline constexpr int64_t kCodeStepBytes = 4 * kPanelOutputs;
inline constexpr int kMostGroup = 128;  // inputs
inline constexpr int kZero8 = 128;      // zero of 8 bit codes
inline constexpr int kZero4 = 8;        // of 4 bit codes, if a matrix has no zeros of its own

struct QuantizedShape {
  int out = 0;    // N
  int in = 0;     // K, a multiple of group
  int bits = 8;   // or 4
  int group = 0;  // inputs; a multiple of 32, at most kMostGroup

  int panels() const { return (out + kPanelOutputs - 1) / kPanelOutputs; }
  int groups() const { return in / group; }
  int64_t group_bytes() const { return int64_t{group} * kPanelOutputs * bits / 8; }
  int64_t panel_bytes() const { return groups() * group_bytes(); }
  int64_t bytes() const { return panels() * panel_bytes(); }
  int64_t scales() const { return first_scale(panels(), 0); }  // number, and that of zeros
  int64_t first_scale(int panel, int g) const { return (int64_t{panel} * groups() + g) * kPanelOutputs; }
};

struct QuantizedWeights {
  QuantizedShape shape;
  const uint8_t* codes = nullptr;
  const float* scales = nullptr;
  const uint8_t* zeros = nullptr;  // null: kZero8 or kZero4
};

// Fills panels [begin, end) of `packed` from `codes` [N, K], and of `packed_scales` and `packed_zeros` from
// [N, groups]. Without zeros, both pointers are null.
void PackQuantizedPanels(const QuantizedShape& shape, const uint8_t* codes, const float* scales,
                         const uint8_t* zeros, int begin, int end, uint8_t* packed, float* packed_scales,
                         uint8_t* packed_zeros);

// The integer code - zero of one weight.
int QuantizedInteger(const QuantizedWeights& w, int output, int input);

// Reads row `output` of the weights. row: [K]
void ReadQuantizedRow(const QuantizedWeights& w, int output, float* row);

}  // namespace varserve::backend::cpu
