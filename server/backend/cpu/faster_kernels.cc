#include "server/backend/cpu/faster_kernels.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace varserve::backend::cpu {
namespace {

// Bound by arithmetic: the weights stay in the L2 cache.
class SmallLayer {
 public:
  std::chrono::nanoseconds Run(const CpuKernels& kernels) {
    const auto start = std::chrono::steady_clock::now();
    kernels.linear({.x = x_.data(),
                    .w = w_.data(),
                    .y = y_.data(),
                    .x_stride = kIn,
                    .y_stride = kOut,
                    .rows = kRows,
                    .in = kIn,
                    .out = kOut,
                    .w_type = StorageType::kBFloat16},
                   0, kRows, 0, kOut);
    return std::chrono::steady_clock::now() - start;
  }

 private:
  static constexpr int kRows = 16;
  static constexpr int kIn = 512;
  static constexpr int kOut = 2 * kPanelOutputs;
  std::vector<float> x_ = std::vector<float>(kRows * kIn);
  std::vector<uint16_t> w_ = std::vector<uint16_t>(PanelShape{kOut, kIn}.size());
  std::vector<float> y_ = std::vector<float>(kRows * kOut);
};

}  // namespace

const CpuKernels& FasterOf(const CpuKernels& first, const CpuKernels& second) {
  constexpr int kTries = 20;
  SmallLayer layer;
  auto best_of_first = std::chrono::nanoseconds::max();
  auto best_of_second = best_of_first;
  for (int i = 0; i < kTries; ++i) {
    best_of_first = std::min(best_of_first, layer.Run(first));
    best_of_second = std::min(best_of_second, layer.Run(second));
  }
  return best_of_first * 9 <= best_of_second * 10 ? first : second;
}

}  // namespace varserve::backend::cpu
