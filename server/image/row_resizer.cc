#include "server/image/row_resizer.h"

#include <numeric>

namespace varserve::image {

RowResizer::RowResizer(const ResizeAxis& axis, ResizeFilter filter, bool backwards)
    : weights_(MakeResizeWeights(axis, filter, backwards)),
      first_(weights_.begin.front()),
      num_pixels_(weights_.begin.back() + weights_.size.back() - first_) {
  for (auto& plane : planes_) plane.resize(static_cast<size_t>(num_pixels_) + weights_.stride);
}

void RowResizer::Resize(const uint8_t* in, const Rgb& padding, uint8_t* out) {
  in += static_cast<ptrdiff_t>(first_) * 3;
  int16_t* const red = planes_[0].data();
  int16_t* const green = planes_[1].data();
  int16_t* const blue = planes_[2].data();
  for (int x = 0; x < num_pixels_; ++x, in += 3) {
    red[x] = in[0];
    green[x] = in[1];
    blue[x] = in[2];
  }
  // Whole blocks, as the compiler is to know.
  const int stride = weights_.stride / ResizeWeights::kBlock * ResizeWeights::kBlock;
  const int precision = weights_.precision;
  for (int i = 0; i < weights_.count(); ++i) {
    const int16_t* const weights = weights_.of(i);
    const int begin = weights_.begin[i] - first_;
    const int padding_weight = weights_.padding[i];
    int r = weights_.half();
    int g = r;
    int b = r;
    for (int j = 0; j < stride; ++j) {
      r += weights[j] * red[begin + j];
      g += weights[j] * green[begin + j];
      b += weights[j] * blue[begin + j];
    }
    uint8_t* const pixel = out + static_cast<ptrdiff_t>(weights_.place(i)) * 3;
    pixel[0] = RoundToByte(r + padding_weight * padding[0], precision);
    pixel[1] = RoundToByte(g + padding_weight * padding[1], precision);
    pixel[2] = RoundToByte(b + padding_weight * padding[2], precision);
  }
}

void RowResizer::ResizePadding(const Rgb& padding, uint8_t* out) const {
  for (int i = 0; i < weights_.count(); ++i) {
    const int total = std::accumulate(weights_.of(i), weights_.of(i) + weights_.stride, weights_.padding[i]);
    for (int c = 0; c < 3; ++c) {
      out[weights_.place(i) * 3 + c] = RoundToByte(weights_.half() + total * padding[c], weights_.precision);
    }
  }
}

int64_t RowResizer::Bytes(const ResizeAxis& axis, ResizeFilter filter) {
  const int64_t weights = ResizeWeightsBytes(axis, filter);
  return weights + 3 * static_cast<int64_t>(sizeof(int16_t)) *
                       (2 * static_cast<int64_t>(axis.size) + ResizeWeights::kBlock);
}

}  // namespace varserve::image
