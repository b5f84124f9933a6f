#include "server/model/staged_copy.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstring>

namespace varserve::model {
namespace {

constexpr int64_t kBytesEach = 1 << 20;  // of one thread's turn

}  // namespace

StagedCopy::Buffer& StagedCopy::NextBuffer() {
  Buffer& buffer = buffers_[next_];
  next_ = (next_ + 1) % buffers_.size();
  if (!buffer.bytes.defined()) {
    const auto options = at::TensorOptions().dtype(at::kByte).pinned_memory(!device_.is_cpu());
    buffer.bytes = at::empty({buffer_bytes_}, options);
    if (!device_.is_cpu()) buffer.taken = std::make_unique<c10::Event>(device_.type());
  } else if (buffer.taken != nullptr) {
    buffer.taken->synchronize();
  }
  return buffer;
}

void StagedCopy::Copy(const at::Tensor& source, at::Tensor target) {
  const auto* from = static_cast<const uint8_t*>(source.const_data_ptr());
  const auto item = static_cast<int64_t>(source.element_size());
  at::Tensor flat = target.view({-1});
  const int64_t each = buffer_bytes_ / item;
  for (int64_t begin = 0; begin < source.numel(); begin += each) {
    const int64_t count = std::min(each, source.numel() - begin);
    Buffer& buffer = NextBuffer();
    auto* to = buffer.bytes.mutable_data_ptr<uint8_t>();
    at::parallel_for(0, count * item, kBytesEach, [&](int64_t first, int64_t last) {
      std::memcpy(to + first, from + begin * item + first, last - first);
    });
    at::Tensor staged = buffer.bytes.narrow(0, 0, count * item).view(source.scalar_type());
    if (!device_.is_cpu()) staged = staged.to(device_, /*non_blocking=*/true);
    flat.narrow(0, begin, count).copy_(staged);
    if (buffer.taken != nullptr)
      buffer.taken->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  }
}

}  // namespace varserve::model
