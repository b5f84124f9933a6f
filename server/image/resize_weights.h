// The weights of an antialiased resize along one axis, in fixed point. Plain data and free functions.
// Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace varserve::image {

enum class ResizeFilter : uint8_t { kBilinear, kBicubic, kLanczos };

// How one axis of a picture is processed: placed on a canvas, resized, cropped.
struct ResizeAxis {
  int size = 0;         // pixels of the picture
  int canvas = 0;       // pixels with the padding
  int offset = 0;       // of the picture on the canvas
  int64_t resized = 0;  // pixels the canvas becomes
  int64_t first = 0;    // of these, first .. first + count - 1 are kept
  int count = 0;
};

// Of a picture without padding, of which nothing is cropped.
inline ResizeAxis WholeAxis(int size, int resized) {
  return {.size = size, .canvas = size, .resized = resized, .count = resized};
}

// Output i is the sum of the picture's pixels begin[i] .. begin[i] + size[i] - 1, each times its weight, and
// of the padding's value times padding[i], all in units of 2^-precision. begin and begin + size never
// decrease.
struct ResizeWeights {
  std::vector<int> begin;
  std::vector<int> size;
  std::vector<int> padding;
  std::vector<int16_t> weights;  // [outputs, stride], zero from size[i] on
  int max_size = 0;
  int stride = 0;  // max_size, rounded up to whole blocks
  int precision = 0;
  bool backwards = false;

  static constexpr int kBlock = 8;

  int count() const { return static_cast<int>(begin.size()); }
  const int16_t* of(size_t i) const { return weights.data() + i * stride; }
  // Where output i goes.
  int place(int i) const { return backwards ? count() - 1 - i : i; }
  int half() const { return 1 << (precision - 1); }  // for rounding
};

// `backwards`: for a picture whose last pixel arrives first. Pixels are counted in order of arrival, and the
// last output is made first.
ResizeWeights MakeResizeWeights(const ResizeAxis& axis, ResizeFilter filter, bool backwards);

// The largest number of the picture's pixels that one output is made of.
int MostPixels(const ResizeAxis& axis, ResizeFilter filter);

// Bytes that making these weights takes at its peak.
int64_t ResizeWeightsBytes(const ResizeAxis& axis, ResizeFilter filter);

}  // namespace varserve::image
