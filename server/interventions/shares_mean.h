// Means over rows and layers, for reports. Thread-compatible.
#pragma once

#include <cstdint>

#include "server/interventions/measurements.h"

namespace varserve::interventions {

// Sums in double, so that a mean over many rows does not depend on rounding.
class SharesMean {
 public:
  void Add(const AttentionShares& shares) {
    changed_heads_ += shares.changed_heads;
    redistributed_ += shares.redistributed;
    visual_before_ += shares.visual_before;
    visual_after_ += shares.visual_after;
    ++count_;
  }
  AttentionShares Get() const {
    const double n = count_ == 0 ? 1.0 : static_cast<double>(count_);
    return {.changed_heads = static_cast<float>(changed_heads_ / n),
            .redistributed = static_cast<float>(redistributed_ / n),
            .visual_before = static_cast<float>(visual_before_ / n),
            .visual_after = static_cast<float>(visual_after_ / n)};
  }

 private:
  double changed_heads_ = 0.0;
  double redistributed_ = 0.0;
  double visual_before_ = 0.0;
  double visual_after_ = 0.0;
  int64_t count_ = 0;
};

}  // namespace varserve::interventions
