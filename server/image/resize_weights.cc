#include "server/image/resize_weights.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace varserve::image {
namespace {

// As the reference rounds: half up, and towards zero where the result is negative.
int64_t RoundHalfUp(double x) {
  const double shifted = x + 0.5;
  return static_cast<int64_t>(shifted);
}

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

double Sinc(double x) {
  const double angle = x * std::numbers::pi;
  return x == 0.0 ? 1.0 : std::sin(angle) / angle;
}

double Lanczos(double x) { return std::abs(x) < 3.0 ? Sinc(x) * Sinc(x / 3.0) : 0.0; }

struct Kernel {
  double (*weight)(double x);
  double support;  // beyond which it is zero
};

const Kernel& KernelOf(ResizeFilter filter) {
  static constexpr Kernel kKernels[] = {{Bilinear, 1.0}, {Bicubic, 2.0}, {Lanczos, 3.0}};  // by ResizeFilter
  return kKernels[static_cast<size_t>(filter)];
}

// Finds the weights of single output pixels in floating point.
class Sampler {
 public:
  Sampler(int64_t input, int64_t output, ResizeFilter filter)
      : input_(input),
        kernel_(KernelOf(filter)),
        scale_(static_cast<double>(input) / static_cast<double>(output)),
        stretch_(std::max(scale_, 1.0)),
        support_(stretch_ * kernel_.support),
        weights_(static_cast<size_t>(std::ceil(support_)) * 2 + 1) {}

  void MoveTo(int64_t output_pixel) {
    const double center = scale_ * (static_cast<double>(output_pixel) + 0.5);
    begin_ = std::max<int64_t>(RoundHalfUp(center - support_), 0);
    size_ = static_cast<int>(std::min(RoundHalfUp(center + support_), input_) - begin_);
    size_ = std::min(size_, max_size());
    total_ = 0.0;
    largest_ = 0.0;
    for (int i = 0; i < size_; ++i) {
      const double x = (static_cast<double>(begin_ + i) - center + 0.5) * (1.0 / stretch_);
      weights_[i] = kernel_.weight(x);
      total_ += weights_[i];
      largest_ = std::max(largest_, weights_[i]);
    }
  }

  int begin() const { return static_cast<int>(begin_); }
  int size() const { return size_; }
  int max_size() const { return static_cast<int>(weights_.size()); }
  double weight(int i) const { return weights_[i] / total_; }
  double max_weight() const { return largest_ / total_; }

 private:
  int64_t input_;
  const Kernel& kernel_;
  double scale_;
  double stretch_;  // of the filter, over several input pixels where the picture becomes smaller
  double support_;
  std::vector<double> weights_;  // of input pixels begin_ .. begin_ + size_ - 1; they sum up to total_
  int64_t begin_ = 0;
  int size_ = 0;
  double total_ = 1.0;
  double largest_ = 0.0;
};

}  // namespace

ResizeWeights MakeResizeWeights(const ResizeAxis& axis, ResizeFilter filter, bool backwards) {
  Sampler sampler(axis.canvas, axis.resized, filter);
  // The largest weight anywhere decides how many bits the weights have, also where only a part is computed.
  double max_weight = 0.0;
  for (int64_t i = 0; i < axis.resized; ++i) {
    sampler.MoveTo(i);
    max_weight = std::max(max_weight, sampler.max_weight());
  }
  ResizeWeights result;
  result.backwards = backwards;
  while (result.precision < 22 && RoundHalfUp(max_weight * (2 << result.precision)) < (1 << 15)) {
    ++result.precision;
  }

  result.max_size = MostPixels(axis, filter);
  result.stride =
      (result.max_size + ResizeWeights::kBlock - 1) / ResizeWeights::kBlock * ResizeWeights::kBlock;
  result.weights.resize(static_cast<size_t>(axis.count) * result.stride);
  for (int i = 0; i < axis.count; ++i) {
    sampler.MoveTo(axis.first + (backwards ? axis.count - 1 - i : i));
    // Of the pixels it is made of, those of the picture, counted in it.
    const int begin = std::clamp(sampler.begin() - axis.offset, 0, axis.size);
    const int end = std::clamp(sampler.begin() + sampler.size() - axis.offset, 0, axis.size);
    result.begin.push_back(backwards ? axis.size - end : begin);
    result.size.push_back(end - begin);
    result.padding.push_back(0);
    int16_t* const weights = result.weights.data() + static_cast<size_t>(i) * result.stride;
    for (int j = 0; j < sampler.size(); ++j) {
      const double scaled = sampler.weight(j) * (1 << result.precision);
      const auto weight = static_cast<int16_t>(scaled < 0.0 ? -RoundHalfUp(-scaled) : RoundHalfUp(scaled));
      const int pixel = sampler.begin() + j - axis.offset;
      if (pixel < begin || pixel >= end) {
        result.padding.back() += weight;
      } else {
        weights[backwards ? end - 1 - pixel : pixel - begin] = weight;
      }
    }
  }
  return result;
}

int MostPixels(const ResizeAxis& axis, ResizeFilter filter) {
  return std::min(Sampler(axis.canvas, axis.resized, filter).max_size(), axis.size);
}

int64_t ResizeWeightsBytes(const ResizeAxis& axis, ResizeFilter filter) {
  const Sampler sampler(axis.canvas, axis.resized, filter);
  const int64_t stride = MostPixels(axis, filter) + ResizeWeights::kBlock;
  constexpr int64_t kVectors = int64_t{2} * 3 * sizeof(int);  // they double as they grow
  return axis.count * (stride * static_cast<int64_t>(sizeof(int16_t)) + kVectors) +
         sampler.max_size() * static_cast<int64_t>(sizeof(double));
}

}  // namespace varserve::image
