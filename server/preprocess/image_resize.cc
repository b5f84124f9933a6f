#include "server/preprocess/image_resize.h"

#include <algorithm>
#include <vector>

namespace varserve::preprocess {
namespace {

inline uint8_t ToByte(int sum, int precision) {
  return static_cast<uint8_t>(std::clamp(sum >> precision, 0, 255));
}

class CanvasRows {
 public:
  explicit CanvasRows(const Canvas& canvas) : canvas_(canvas) {
    if (canvas.width == canvas.image->width && canvas.height == canvas.image->height) return;
    for (int x = 0; x < canvas.width; ++x) {
      background_.insert(background_.end(), canvas.color.begin(), canvas.color.end());
    }
    row_ = background_;
  }

  bool IsBackground(int y) const { return y < canvas_.top || y >= canvas_.top + canvas_.image->height; }

  // [width, 3], until the next call
  const uint8_t* Row(int y) {
    if (IsBackground(y)) return background_.data();
    const size_t row_size = static_cast<size_t>(canvas_.image->width) * 3;
    const uint8_t* const row = canvas_.image->rgb.data() + (y - canvas_.top) * row_size;
    if (row_.empty()) return row;
    std::copy_n(row, row_size, row_.data() + static_cast<ptrdiff_t>(canvas_.left) * 3);
    return row_.data();
  }

 private:
  const Canvas& canvas_;
  std::vector<uint8_t> background_;
  std::vector<uint8_t> row_;
};

// Resizes rows one after the other. Channels are taken apart into 16 bit planes and weights padded to whole
// blocks, so that the sums run over contiguous 16 bit values, which compilers turn into multiply-add
// instructions.
class RowResizer {
 public:
  RowResizer(int input, int64_t output, ResizeFilter filter, int64_t first, int count)
      : is_identity_(input == output), first_(static_cast<int>(first)), count_(count) {
    if (is_identity_) return;
    const ResizeWeights weights = MakeResizeWeights(input, output, filter, first, count);
    first_ = weights.begin.front();
    num_pixels_ = weights.begin.back() + weights.size.back() - first_;
    num_weights_ = (weights.max_size + kBlock - 1) / kBlock * kBlock;
    precision_ = weights.precision;
    for (int i = 0; i < count; ++i) {
      begin_.push_back(weights.begin[i] - first_);
      weights_.insert(weights_.end(), weights.of(i), weights.of(i) + weights.max_size);
      weights_.resize(weights_.size() + num_weights_ - weights.max_size);
    }
    for (auto& plane : planes_) plane.resize(num_pixels_ + num_weights_);
  }

  // in: [input, 3], out: [count, 3]
  void Resize(const uint8_t* in, uint8_t* out) {
    in += static_cast<ptrdiff_t>(first_) * 3;
    if (is_identity_) {
      std::copy_n(in, static_cast<size_t>(count_) * 3, out);
      return;
    }
    for (int x = 0; x < num_pixels_; ++x) {
      for (int c = 0; c < 3; ++c) planes_[c][x] = in[3 * x + c];
    }
    const int16_t* weights = weights_.data();
    for (int i = 0; i < count_; ++i, weights += num_weights_) {
      for (int c = 0; c < 3; ++c) {
        const int16_t* const values = planes_[c].data() + begin_[i];
        int sum = 1 << (precision_ - 1);
        for (int j = 0; j < num_weights_; ++j) sum += weights[j] * values[j];
        out[3 * i + c] = ToByte(sum, precision_);
      }
    }
  }

 private:
  static constexpr int kBlock = 8;

  bool is_identity_;
  int first_;  // input pixel in use
  int count_;
  int num_pixels_ = 0;  // input pixels in use
  int num_weights_ = 0;
  int precision_ = 0;
  std::vector<int> begin_;        // of each output, counted from first_
  std::vector<int16_t> weights_;  // [count_, num_weights_]
  std::array<std::vector<int16_t>, 3>
      planes_;  // [num_pixels_ + num_weights_], zero where the last weights reach to
};

}  // namespace

RgbImage ResizeWindow(const Canvas& canvas, int64_t width, int64_t height, ResizeFilter filter,
                      const Rectangle& window) {
  CanvasRows rows(canvas);
  RowResizer resizer(canvas.width, width, filter, window.x, window.width);
  const size_t row_size = static_cast<size_t>(window.width) * 3;
  RgbImage resized{window.width, window.height, std::vector<uint8_t>(row_size * window.height)};
  if (height == canvas.height) {
    for (int i = 0; i < window.height; ++i) {
      resizer.Resize(rows.Row(static_cast<int>(window.y) + i), &resized.rgb[i * row_size]);
    }
    return resized;
  }

  // Each row is resized once, and added to the few output rows that it is part of.
  const ResizeWeights weights = MakeResizeWeights(canvas.height, height, filter, window.y, window.height);
  std::vector<int> sums(resized.rgb.size(), 1 << (weights.precision - 1));
  std::vector<uint8_t> row(row_size);
  const int first_row = weights.begin.front();
  const int end_row = weights.begin.back() + weights.size.back();
  int first_output = 0;
  for (int y = first_row; y < end_row; ++y) {
    const bool is_as_before = y > first_row && rows.IsBackground(y) && rows.IsBackground(y - 1);
    if (!is_as_before) resizer.Resize(rows.Row(y), row.data());
    while (weights.begin[first_output] + weights.size[first_output] <= y) ++first_output;
    for (int i = first_output; i < window.height && weights.begin[i] <= y; ++i) {
      const int16_t weight = weights.of(i)[y - weights.begin[i]];
      int* const sum = &sums[i * row_size];
      for (size_t x = 0; x < row_size; ++x) sum[x] += weight * row[x];
    }
  }
  for (size_t i = 0; i < sums.size(); ++i) resized.rgb[i] = ToByte(sums[i], weights.precision);
  return resized;
}

}  // namespace varserve::preprocess
