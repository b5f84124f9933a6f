// The integers of a step on the device: token ids, positions, slots. One buffer for all of them, filled with
// one copy from the host, at the same address from step to step, so that a captured graph can read it. Engine
// thread only.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace varserve::model {

class StepBuffer {
 public:
  explicit StepBuffer(at::Device device) : device_(device) {}

  // Replaces the content. Grows, and moves, for a step that is larger than all before. Does not synchronize
  // with the host; the step that reads the previous content must have ended.
  // => a view [n] int64 on the device for each part, valid until the next call
  std::vector<at::Tensor> Fill(absl::Span<const absl::Span<const int64_t>> parts);

 private:
  const at::Device device_;
  at::Tensor host_;    // [capacity] int64; pinned if the device is not the CPU
  at::Tensor buffer_;  // [capacity] int64 on the device; on the CPU `host_` itself
};

}  // namespace varserve::model
