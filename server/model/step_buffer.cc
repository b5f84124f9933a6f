#include "server/model/step_buffer.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace varserve::model {

std::vector<at::Tensor> StepBuffer::Fill(absl::Span<const absl::Span<const int64_t>> parts) {
  int64_t size = 0;
  for (const absl::Span<const int64_t> part : parts) size += static_cast<int64_t>(part.size());
  if (!host_.defined() || host_.size(0) < size) {
    host_ = at::empty({size}, at::TensorOptions().dtype(at::kLong).pinned_memory(!device_.is_cpu()));
    buffer_ =
        device_.is_cpu() ? host_ : at::empty({size}, host_.options().pinned_memory(false).device(device_));
  }
  auto* to = host_.mutable_data_ptr<int64_t>();
  std::vector<at::Tensor> views;
  int64_t begin = 0;
  for (const absl::Span<const int64_t> part : parts) {
    std::copy(part.begin(), part.end(), to + begin);
    views.push_back(buffer_.narrow(0, begin, static_cast<int64_t>(part.size())));
    begin += static_cast<int64_t>(part.size());
  }
  if (!device_.is_cpu()) buffer_.narrow(0, 0, size).copy_(host_.narrow(0, 0, size), /*non_blocking=*/true);
  return views;
}

}  // namespace varserve::model
