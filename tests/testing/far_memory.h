// The far device's memory (far_device.h), and which stream uses it when. Operators compute at once, but
// nobody may rely on that: what the host, or another stream, has not waited for counts as not done. All
// functions are thread-safe and throw c10::Error.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include <cstdint>
#include <limits>

namespace varserve::testing {

inline constexpr c10::DeviceType kFar = c10::DeviceType::PrivateUse1;

// No address of a process has this bit; those of the far device do.
inline constexpr uintptr_t kFarBit = uintptr_t{1} << 62;

// The host's address of memory of either device.
inline void* Near(const void* memory) {
  return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(memory) & ~kFarBit);
}
// The same values as a tensor of the host.
at::Tensor Near(const at::Tensor& t);

// This thread's stream; 0 is the default one.
c10::StreamId CurrentStream();
// Returns the one before.
c10::StreamId SetCurrentStream(c10::StreamId stream);
c10::StreamId NewStream();

// A point in the work of all streams.
int64_t Mark();
// Waits for the stream's work before the mark; copies to the host end then.
void WaitFor(c10::StreamId stream, int64_t mark = std::numeric_limits<int64_t>::max());

// Memory is allocated and freed on the current stream, so another stream must have been waited for before.
// The next WaitFor throws if it was not.
void OnAllocated(const void* memory);
void OnFreed(const void* memory);
// The current stream reads or writes a tensor of the device.
void OnUsed(const at::Tensor& t, bool writes);

// Copies that the host does not wait for. near: the device's values; `to` is without them until then.
void CopyToHostLater(const at::Tensor& near, const at::Tensor& to);
// from: pinned memory, which must keep its values until then.
void CopyToDeviceLater(const at::Tensor& from, const at::Tensor& near);

}  // namespace varserve::testing
