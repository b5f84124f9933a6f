#include "server/preprocess/image_resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace varserve::preprocess {
namespace {

double Bilinear(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

// Keys' cubic with a = -1/2, as Pillow has it.
double Bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

// One axis of a resize: output pixel i is the sum of input pixels begin[i] .. begin[i] + size[i] - 1, each
// times its weight in units of 2^-precision.
struct Axis {
  std::vector<int> begin;
  std::vector<int> size;
  std::vector<int16_t> weights;  // [outputs, max_size]
  int max_size = 0;
  int precision = 0;

  const int16_t* weights_of(size_t i) const { return weights.data() + i * max_size; }
};

// Finds the weights of single output pixels in floating point.
class Sampler {
 public:
  Sampler(int64_t input, int64_t output, ResizeFilter filter)
      : input_(input),
        scale_(static_cast<double>(input) / static_cast<double>(output)),
        stretch_(std::max(scale_, 1.0)),
        support_(stretch_ * (filter == ResizeFilter::kBicubic ? 2.0 : 1.0)),
        filter_(filter == ResizeFilter::kBicubic ? &Bicubic : &Bilinear),
        weights_(static_cast<size_t>(std::ceil(support_)) * 2 + 1) {}

  void MoveTo(int64_t output_pixel) {
    const double center = scale_ * (static_cast<double>(output_pixel) + 0.5);
    begin_ = std::max<int64_t>(static_cast<int64_t>(center - support_ + 0.5), 0);
    size_ = std::min(static_cast<int64_t>(center + support_ + 0.5), input_) - begin_;
    size_ = std::min(size_, static_cast<int64_t>(weights_.size()));
    double total = 0.0;
    for (int64_t i = 0; i < size_; ++i) {
      weights_[i] = filter_((static_cast<double>(begin_ + i) - center + 0.5) * (1.0 / stretch_));
      total += weights_[i];
    }
    if (total == 0.0) return;
    for (int64_t i = 0; i < size_; ++i) weights_[i] /= total;
  }

  int begin() const { return static_cast<int>(begin_); }
  int size() const { return static_cast<int>(size_); }
  int max_size() const { return static_cast<int>(weights_.size()); }
  double weight(int i) const { return weights_[i]; }
  double max_weight() const { return *std::max_element(weights_.begin(), weights_.begin() + size_); }

 private:
  int64_t input_;
  double scale_;
  double stretch_;
  double support_;
  double (*filter_)(double);
  std::vector<double> weights_;
  int64_t begin_ = 0;
  int64_t size_ = 0;
};

Axis MakeAxis(int64_t input, int64_t output, ResizeFilter filter, int64_t first, int count) {
  Sampler sampler(input, output, filter);
  // The largest weight anywhere decides how many bits the weights have, also where only a part is computed.
  double max_weight = 0.0;
  for (int64_t i = 0; i < output; ++i) {
    sampler.MoveTo(i);
    max_weight = std::max(max_weight, sampler.max_weight());
  }
  Axis axis;
  while (axis.precision < 22 && static_cast<int>(0.5 + max_weight * (2 << axis.precision)) < (1 << 15)) {
    ++axis.precision;
  }

  axis.max_size = sampler.max_size();
  axis.weights.resize(static_cast<size_t>(count) * axis.max_size);
  for (int i = 0; i < count; ++i) {
    sampler.MoveTo(first + i);
    axis.begin.push_back(sampler.begin());
    axis.size.push_back(sampler.size());
    for (int j = 0; j < sampler.size(); ++j) {
      const double scaled = sampler.weight(j) * (1 << axis.precision);
      axis.weights[static_cast<size_t>(i) * axis.max_size + j] =
          static_cast<int16_t>(scaled < 0.0 ? scaled - 0.5 : scaled + 0.5);
    }
  }
  return axis;
}

inline uint8_t ToByte(int sum, int precision) {
  return static_cast<uint8_t>(std::clamp(sum >> precision, 0, 255));
}

// Resizes rows one after the other. Channels are taken apart into 16 bit planes and weights padded to whole
// blocks, so that the sums run over contiguous 16 bit values, which compilers turn into multiply-add
// instructions.
class RowResizer {
 public:
  explicit RowResizer(const Axis& axis)
      : first_(axis.begin.front()),
        num_pixels_(axis.begin.back() + axis.size.back() - first_),
        num_weights_((axis.max_size + kBlock - 1) / kBlock * kBlock),
        precision_(axis.precision) {
    for (size_t i = 0; i < axis.begin.size(); ++i) {
      begin_.push_back(axis.begin[i] - first_);
      weights_.insert(weights_.end(), axis.weights_of(i), axis.weights_of(i) + axis.max_size);
      weights_.resize((i + 1) * num_weights_);
    }
    for (auto& plane : planes_) plane.resize(num_pixels_ + num_weights_);
  }

  // in: [width, 3], out: [outputs, 3]
  void Resize(const uint8_t* in, uint8_t* out) {
    in += static_cast<ptrdiff_t>(first_) * 3;
    for (int x = 0; x < num_pixels_; ++x) {
      for (int c = 0; c < 3; ++c) planes_[c][x] = in[3 * x + c];
    }
    for (size_t i = 0; i < begin_.size(); ++i) {
      const int16_t* const weights = weights_.data() + i * num_weights_;
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

  int first_;       // input pixel in use
  int num_pixels_;  // input pixels in use
  int num_weights_;
  int precision_;
  std::vector<int> begin_;        // of each output, counted from first_
  std::vector<int16_t> weights_;  // [outputs, num_weights_]
  std::array<std::vector<int16_t>, 3>
      planes_;  // [num_pixels_ + num_weights_], zero where the last weights reach to
};

// out[i] = sum over rows of weights[row] * in[row][i]; in: [rows, row_size]
void SumRows(const uint8_t* in, int rows, size_t row_size, const int16_t* weights, int precision,
             std::vector<int>& sums, uint8_t* out) {
  std::fill(sums.begin(), sums.end(), 1 << (precision - 1));
  for (int row = 0; row < rows; ++row, in += row_size) {
    const int16_t weight = weights[row];
    for (size_t i = 0; i < row_size; ++i) sums[i] += weight * in[i];
  }
  for (size_t i = 0; i < row_size; ++i) out[i] = ToByte(sums[i], precision);
}

// Columns [x, x + width) of `image` resized to full_width, of the rows [y, y + height).
RgbImage ResizeWidth(const RgbImage& image, int64_t full_width, ResizeFilter filter, int64_t x, int width,
                     int64_t y, int height) {
  RgbImage resized{width, height, std::vector<uint8_t>(static_cast<size_t>(width) * height * 3)};
  const size_t row_size = static_cast<size_t>(width) * 3;
  const auto row_of = [&](int row) { return image.rgb.data() + (y + row) * image.width * 3; };
  if (full_width == image.width) {
    for (int row = 0; row < height; ++row)
      std::copy_n(row_of(row) + x * 3, row_size, &resized.rgb[row * row_size]);
    return resized;
  }
  const Axis axis = MakeAxis(image.width, full_width, filter, x, width);
  RowResizer resizer(axis);
  for (int row = 0; row < height; ++row) resizer.Resize(row_of(row), &resized.rgb[row * row_size]);
  return resized;
}

}  // namespace

RgbImage ResizeWindow(const RgbImage& image, int64_t width, int64_t height, ResizeFilter filter,
                      const Rectangle& window) {
  if (height == image.height) {
    return ResizeWidth(image, width, filter, window.x, window.width, window.y, window.height);
  }
  const Axis axis = MakeAxis(image.height, height, filter, window.y, window.height);
  const int first_row = axis.begin.front();
  const int num_rows = axis.begin.back() + axis.size.back() - first_row;
  const RgbImage strip = ResizeWidth(image, width, filter, window.x, window.width, first_row, num_rows);

  const size_t row_size = static_cast<size_t>(window.width) * 3;
  RgbImage resized{window.width, window.height, std::vector<uint8_t>(row_size * window.height)};
  std::vector<int> sums(row_size);
  for (int y = 0; y < window.height; ++y) {
    SumRows(strip.rgb.data() + (axis.begin[y] - first_row) * row_size, axis.size[y], row_size,
            axis.weights_of(y), axis.precision, sums, resized.rgb.data() + y * row_size);
  }
  return resized;
}

}  // namespace varserve::preprocess
