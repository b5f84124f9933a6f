#include "tests/testing/far_device.h"

#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "tests/testing/far_graph.h"
#include "tests/testing/far_memory.h"
#include "tests/testing/test_device.h"

namespace varserve::testing {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kMemory = size_t{1} << 32;  // bytes of the device, as it says

void* Allocate(size_t bytes) { return std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment); }

void FreeFar(void* memory) {
  OnFreed(memory);
  std::free(Near(memory));
}

class FarAllocator : public c10::DeviceAllocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes > 0) RefuseInGraph("an allocation");
    void* const near = Allocate(bytes);
    std::memset(near, 0xff, bytes);
    auto* const far = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(near) | kFarBit);
    OnAllocated(far);
    return {far, far, &FreeFar, at::Device(kFar, 0)};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(Near(to), Near(from), bytes);
  }
  std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex /*device*/) override { return {kMemory, kMemory}; }
  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t /*pool*/) override {}
  void recordStream(const c10::DataPtr& /*memory*/, c10::Stream /*stream*/) override {}
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex /*device*/) override { return {}; }
  void resetAccumulatedStats(c10::DeviceIndex /*device*/) override {}
  void resetPeakStats(c10::DeviceIndex /*device*/) override {}
};

void FreePinned(void* memory) { std::free(memory); }

// Memory of the host from which the device copies by itself.
class PinnedAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* const memory = Allocate(bytes);
    return {memory, memory, &FreePinned, at::Device(at::kCPU)};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};

struct FarHooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex /*index*/) const override { return true; }
  at::Allocator* getPinnedMemoryAllocator() const override {
    static PinnedAllocator allocator;
    return &allocator;
  }
};

// What an event of a stream waits for.
struct FarEvent {
  c10::StreamId stream;
  int64_t mark;
};

struct FarGuard : c10::impl::NoOpDeviceGuardImpl<kFar> {
  static c10::Stream StreamOf(c10::StreamId id) {
    return c10::Stream(c10::Stream::UNSAFE, at::Device(kFar, 0), id);
  }
  c10::Stream getStream(c10::Device /*device*/) const noexcept override { return StreamOf(CurrentStream()); }
  c10::Stream getStreamFromGlobalPool(c10::Device /*device*/, bool /*high_priority*/) const override {
    return StreamOf(NewStream());
  }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override {
    return StreamOf(SetCurrentStream(stream.id()));
  }
  void synchronizeStream(const c10::Stream& stream) const override { WaitFor(stream.id()); }
  void record(void** event, const c10::Stream& stream, c10::DeviceIndex /*index*/,
              c10::EventFlag /*flag*/) const override {
    if (*event == nullptr) *event = new FarEvent;
    *static_cast<FarEvent*>(*event) = {stream.id(), Mark()};
  }
  void synchronizeEvent(void* event) const override {
    if (event == nullptr) return;  // never recorded
    const FarEvent& e = *static_cast<FarEvent*>(event);
    WaitFor(e.stream, e.mark);
  }
  void destroyEvent(void* event, c10::DeviceIndex /*index*/) const noexcept override {
    delete static_cast<FarEvent*>(event);
  }
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, FarGuard);

// When the library is loaded.
[[maybe_unused]] const bool is_here = [] {
  if (TestDevice() != "far") return false;
  c10::register_privateuse1_backend("far");
  at::RegisterPrivateUse1HooksInterface(new FarHooks());
  static FarAllocator allocator;
  c10::SetAllocator(kFar, &allocator);
  return true;
}();

}  // namespace

bool IsPinned(const at::Tensor& t) { return t.storage().data_ptr().get_deleter() == &FreePinned; }

}  // namespace varserve::testing
