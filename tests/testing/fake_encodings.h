// What FakeModelRunner encodes ahead of the chunks that need it.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <vector>

#include "server/engine/step_plan.h"

namespace varserve::testing {

class FakeEncodings {
 public:
  // Returns how many.
  int Begin(const engine::StepPlan& plan) {
    for (const engine::StepPlan::Encoding& encoding : plan.encode_ahead)
      EXPECT_TRUE(ready_.emplace(encoding.of, false).second) << "an image begun twice";
    return static_cast<int>(plan.encode_ahead.size());
  }
  // is_encoded: asked for each image; not set: all are.
  std::vector<engine::ImageRef> TakeEncoded(const std::function<bool()>& is_encoded) {
    std::vector<engine::ImageRef> encoded;
    for (auto& [image, ready] : ready_) {
      if (ready || (is_encoded && !is_encoded())) continue;
      ready = true;
      encoded.push_back(image);
    }
    return encoded;
  }
  // Whether TakeEncoded() has returned it.
  bool IsReady(const engine::ImageRef& image) const {
    const auto it = ready_.find(image);
    return it != ready_.end() && it->second;
  }
  void Take(const engine::ImageRef& image) { ready_.erase(image); }
  void Forget(engine::SequenceId sequence) {
    std::erase_if(ready_, [sequence](const auto& entry) { return entry.first.sequence == sequence; });
  }

 private:
  std::map<engine::ImageRef, bool> ready_;
};

}  // namespace varserve::testing
