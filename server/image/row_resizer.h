// Resizes rows of 8 bit RGB horizontally, one at a time, bit for bit as torchvision does.
// Thread-compatible.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "server/image/resize_weights.h"

namespace varserve::image {

using Rgb = std::array<uint8_t, 3>;

inline uint8_t RoundToByte(int sum, int precision) {
  return static_cast<uint8_t>(std::clamp(sum >> precision, 0, 255));
}

class RowResizer {
 public:
  // `backwards`: for rows that start with their last pixel.
  RowResizer(const ResizeAxis& axis, ResizeFilter filter, bool backwards);

  // in: [axis.size, 3], out: [axis.count, 3]
  void Resize(const uint8_t* in, const Rgb& padding, uint8_t* out);
  // The same for a row that consists of padding.
  void ResizePadding(const Rgb& padding, uint8_t* out) const;

  static int64_t Bytes(const ResizeAxis& axis, ResizeFilter filter);

 private:
  const ResizeWeights weights_;
  const int first_;       // input pixel in use
  const int num_pixels_;  // in use
  // Channels are taken apart into 16 bit planes, with zeros where the last weights reach to, so that the sums
  // run over contiguous 16 bit values, which compilers turn into multiply-add instructions.
  std::array<std::vector<int16_t>, 3> planes_;  // [num_pixels_ + stride]
};

}  // namespace varserve::image
