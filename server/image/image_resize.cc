#include "server/image/image_resize.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

namespace varserve::image {
namespace {

RgbImage BlackImage(const ResizePlan& plan) {
  return {plan.x.count, plan.y.count,
          std::vector<uint8_t>(static_cast<size_t>(plan.x.count) * plan.y.count * 3)};
}

// Whether the upright picture's first row, or column, is stored last.
bool StartsAtTheRight(int orientation) {
  return orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
}
bool StartsAtTheBottom(int orientation) {
  return orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
}

// sums[i] += weight * values[i]. Not inlined: gcc would change the order of the loop around it and this one,
// and then vectorize neither.
[[gnu::noinline]] void AddWeighted(const uint8_t* values, int16_t weight, size_t count, int* sums) {
  for (size_t i = 0; i < count; ++i) sums[i] += weight * values[i];
}

void RoundToBytes(const int* sums, size_t count, int precision, uint8_t* bytes) {
  for (size_t i = 0; i < count; ++i) bytes[i] = RoundToByte(sums[i], precision);
}

// Stored rows are rows: each is resized along itself, and added to the few output rows that it is part of.
class RowsResizer final : public ImageResizer {
 public:
  explicit RowsResizer(const ResizePlan& plan)
      : result_(BlackImage(plan)),
        row_resizer_(plan.x, plan.filter, StartsAtTheRight(plan.orientation)),
        weights_(MakeResizeWeights(plan.y, plan.filter, StartsAtTheBottom(plan.orientation))),
        row_(static_cast<size_t>(plan.x.count) * 3),
        sums_(row_.size() * plan.y.count),
        padding_(plan.padding) {
    row_resizer_.ResizePadding(padding_, row_.data());
    std::fill(sums_.begin(), sums_.end(), weights_.half());
    for (int i = 0; i < weights_.count(); ++i) {
      for (size_t x = 0; x < row_.size(); ++x) SumsOf(i)[x] += weights_.padding[i] * row_[x];
    }
  }

  void AddRow(const uint8_t* rgb) override {
    const int y = next_row_++;
    while (first_output_ < weights_.count() && End(first_output_) <= y) ++first_output_;
    if (first_output_ == weights_.count() || weights_.begin[first_output_] > y) return;  // cut off
    row_resizer_.Resize(rgb, padding_, row_.data());
    for (int i = first_output_; i < weights_.count() && weights_.begin[i] <= y; ++i) {
      AddWeighted(row_.data(), weights_.of(i)[y - weights_.begin[i]], row_.size(), SumsOf(i));
    }
  }

  RgbImage Finish() override {
    RoundToBytes(sums_.data(), sums_.size(), weights_.precision, result_.rgb.data());
    return std::move(result_);
  }

 private:
  int End(int i) const { return weights_.begin[i] + weights_.size[i]; }
  int* SumsOf(int i) { return sums_.data() + weights_.place(i) * row_.size(); }

  RgbImage result_;
  RowResizer row_resizer_;
  const ResizeWeights weights_;
  std::vector<uint8_t> row_;  // [x.count, 3]
  std::vector<int> sums_;     // [y.count, x.count, 3]
  const Rgb padding_;
  int next_row_ = 0;
  int first_output_ = 0;  // that may still get something
};

// Stored rows are columns. The horizontal pass, which comes first, adds whole stored rows; a column of its
// output is complete once the last of them has come, and is then resized along itself.
class ColumnsResizer final : public ImageResizer {
 public:
  explicit ColumnsResizer(const ResizePlan& plan)
      : result_(BlackImage(plan)),
        weights_(MakeResizeWeights(plan.x, plan.filter, StartsAtTheBottom(plan.orientation))),
        column_resizer_(plan.y, plan.filter, StartsAtTheRight(plan.orientation)),
        column_(static_cast<size_t>(plan.y.size) * 3),
        kept_(column_.size() * weights_.max_size),
        resized_(static_cast<size_t>(plan.y.count) * 3),
        padding_(plan.padding) {}

  void AddRow(const uint8_t* rgb) override {
    const int x = next_row_++;
    if (next_output_ < weights_.count() && weights_.begin[next_output_] <= x) {
      std::memcpy(KeptRow(x), rgb, column_.size());
    }
    while (next_output_ < weights_.count() &&
           weights_.begin[next_output_] + weights_.size[next_output_] <= next_row_) {
      MakeColumn(next_output_++);
    }
  }

  RgbImage Finish() override { return std::move(result_); }

 private:
  uint8_t* KeptRow(int x) { return kept_.data() + x % weights_.max_size * column_.size(); }

  static constexpr size_t kBlock = 768;  // bytes of a column whose sums are made at a time: whole pixels

  void MakeColumn(int i) {
    const int16_t* const weights = weights_.of(i);
    const int total = std::accumulate(weights, weights + weights_.stride, weights_.padding[i]);
    Rgb padding;  // what the first pass makes of it
    for (int c = 0; c < 3; ++c)
      padding[c] = RoundToByte(weights_.half() + total * padding_[c], weights_.precision);
    for (size_t begin = 0; begin < column_.size(); begin += kBlock)
      AddRows(i, begin, std::min(kBlock, column_.size() - begin));
    column_resizer_.Resize(column_.data(), padding, resized_.data());
    uint8_t* out = result_.rgb.data() + static_cast<ptrdiff_t>(weights_.place(i)) * 3;
    for (size_t y = 0; y < resized_.size(); y += 3, out += static_cast<ptrdiff_t>(result_.width) * 3) {
      std::copy_n(&resized_[y], 3, out);
    }
  }

  // column_[begin .. begin + size - 1] of output i
  void AddRows(int i, size_t begin, size_t size) {
    const int16_t* const weights = weights_.of(i);
    int sums[kBlock];
    for (size_t b = 0; b < size; b += 3) {
      for (int c = 0; c < 3; ++c) sums[b + c] = weights_.half() + weights_.padding[i] * padding_[c];
    }
    for (int j = 0; j < weights_.size[i]; ++j) {
      AddWeighted(KeptRow(weights_.begin[i] + j) + begin, weights[j], size, sums);
    }
    RoundToBytes(sums, size, weights_.precision, column_.data() + begin);
  }

  RgbImage result_;
  const ResizeWeights weights_;
  RowResizer column_resizer_;
  std::vector<uint8_t> column_;   // [y.size, 3]
  std::vector<uint8_t> kept_;     // the last stored rows, as many as an output is made of
  std::vector<uint8_t> resized_;  // [y.count, 3]
  const Rgb padding_;
  int next_row_ = 0;
  int next_output_ = 0;
};

}  // namespace

std::unique_ptr<ImageResizer> ImageResizer::Create(const ResizePlan& plan) {
  if (IsTransposed(plan.orientation)) return std::make_unique<ColumnsResizer>(plan);
  return std::make_unique<RowsResizer>(plan);
}

int64_t ResizeBytes(const ResizePlan& plan) {
  const int64_t result = int64_t{3} * plan.x.count * plan.y.count;
  if (IsTransposed(plan.orientation)) {
    const int64_t rows = MostPixels(plan.x, plan.filter) + 1;  // those kept, and the column
    return result + ResizeWeightsBytes(plan.x, plan.filter) + RowResizer::Bytes(plan.y, plan.filter) +
           rows * 3 * plan.y.size + int64_t{3} * plan.y.count;
  }
  return result + RowResizer::Bytes(plan.x, plan.filter) + ResizeWeightsBytes(plan.y, plan.filter) +
         result * static_cast<int64_t>(sizeof(int)) + int64_t{3} * plan.x.count;
}

}  // namespace varserve::image
