// The weights of an antialiased resize along one axis, in fixed point. Plain data and a free function.
// Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace varserve::preprocess {

enum class ResizeFilter : uint8_t { kBilinear, kBicubic };

// Output pixel i is the sum of the input pixels begin[i] .. begin[i] + size[i] - 1, each times its weight in
// units of 2^-precision. begin and begin + size never decrease.
struct ResizeWeights {
  std::vector<int> begin;
  std::vector<int> size;
  std::vector<int16_t> weights;  // [outputs, max_size]
  int max_size = 0;
  int precision = 0;

  const int16_t* of(size_t i) const { return weights.data() + i * max_size; }
};

// For outputs first .. first + count - 1 of `output` pixels made of `input` pixels.
ResizeWeights MakeResizeWeights(int64_t input, int64_t output, ResizeFilter filter, int64_t first, int count);

}  // namespace varserve::preprocess
