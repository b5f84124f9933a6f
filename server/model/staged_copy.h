// Copies tensors from mapped files to a device by way of two pinned buffers: while one travels, the other is
// filled by all threads. Types are converted on the device.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include <array>
#include <cstdint>
#include <memory>

namespace varserve::model {

// Thread-compatible.
class StagedCopy {
 public:
  static constexpr int64_t kBufferBytes = 32 << 20;

  explicit StagedCopy(at::Device device, int64_t buffer_bytes = kBufferBytes)
      : device_(device), buffer_bytes_(buffer_bytes) {}

  // target = source. source: on the host, contiguous; target: on the device, contiguous, of the same size.
  // Returns once the source has been read.
  void Copy(const at::Tensor& source, at::Tensor target);

 private:
  struct Buffer {
    at::Tensor bytes;                   // pinned if the device is not the CPU
    std::unique_ptr<c10::Event> taken;  // the device has copied it; null on the CPU
  };
  // A buffer that may be filled.
  Buffer& NextBuffer();

  const at::Device device_;
  const int64_t buffer_bytes_;
  std::array<Buffer, 2> buffers_;
  size_t next_ = 0;
};

}  // namespace varserve::model
