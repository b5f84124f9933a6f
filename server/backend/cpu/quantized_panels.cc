#include "server/backend/cpu/quantized_panels.h"

#include <algorithm>

namespace varserve::backend::cpu {
namespace {

// Where an input's weight is in its group, for output n of the panel.
struct Place {
  int64_t byte;
  bool high_half;  // of 4 bit weights
};

Place PlaceOf(const QuantizedShape& shape, int n, int k) {
  const int64_t output = 4 * n;
  if (shape.bits == 8) return {k / 4 * kCodeStepBytes + output + k % 4, false};
  const int pair = k / 2 % 4;
  return {k / 8 * kCodeStepBytes + output + k % 2 * 2 + pair / 2, pair % 2 == 1};
}

int64_t ScaleOf(const QuantizedShape& shape, int output, int group) {
  return shape.first_scale(output / kPanelOutputs, group) + output % kPanelOutputs;
}

}  // namespace

void PackQuantizedPanels(const QuantizedShape& shape, const uint8_t* codes, const float* scales,
                         const uint8_t* zeros, int begin, int end, uint8_t* packed, float* packed_scales,
                         uint8_t* packed_zeros) {
  const int groups = shape.groups();
  for (int panel = begin; panel < end; ++panel) {
    uint8_t* const to = packed + panel * shape.panel_bytes();
    const int64_t first_scale = ScaleOf(shape, panel * kPanelOutputs, 0);
    std::fill_n(to, shape.panel_bytes(), uint8_t{0});
    std::fill_n(packed_scales + first_scale, groups * kPanelOutputs, 0.0F);
    if (zeros != nullptr) std::fill_n(packed_zeros + first_scale, groups * kPanelOutputs, uint8_t{0});
    const int outputs = std::min(kPanelOutputs, shape.out - panel * kPanelOutputs);
    for (int n = 0; n < outputs; ++n) {
      const int output = panel * kPanelOutputs + n;
      for (int g = 0; g < groups; ++g) {
        const int64_t from = int64_t{output} * groups + g;
        packed_scales[ScaleOf(shape, output, g)] = scales[from];
        if (zeros != nullptr) packed_zeros[ScaleOf(shape, output, g)] = zeros[from];
        const uint8_t* const row = codes + int64_t{output} * shape.in + int64_t{g} * shape.group;
        uint8_t* const group = to + g * shape.group_bytes();
        for (int k = 0; k < shape.group; ++k) {
          const Place place = PlaceOf(shape, n, k);
          uint8_t& byte = group[place.byte];
          if (shape.bits == 8) {
            byte = static_cast<uint8_t>(row[k] - kZero8);
          } else {
            byte = static_cast<uint8_t>(byte | row[k] << (place.high_half ? 4 : 0));
          }
        }
      }
    }
  }
}

int QuantizedInteger(const QuantizedWeights& w, int output, int input) {
  const QuantizedShape& s = w.shape;
  const int group = input / s.group;
  const Place place = PlaceOf(s, output % kPanelOutputs, input % s.group);
  const uint8_t byte =
      w.codes[output / kPanelOutputs * s.panel_bytes() + group * s.group_bytes() + place.byte];
  if (s.bits == 8) return static_cast<int8_t>(byte);
  const int code = place.high_half ? byte >> 4 : byte & 15;
  return code - (w.zeros != nullptr ? w.zeros[ScaleOf(s, output, group)] : kZero4);
}

void ReadQuantizedRow(const QuantizedWeights& w, int output, float* row) {
  for (int k = 0; k < w.shape.in; ++k) {
    const float scale = w.scales[ScaleOf(w.shape, output, k / w.shape.group)];
    row[k] = scale * static_cast<float>(QuantizedInteger(w, output, k));
  }
}

}  // namespace varserve::backend::cpu
