// A device for tests of GPU paths without a GPU: VARSERVE_TEST_DEVICE=far. Its memory lies at addresses that
// the host cannot read, so code that takes a device's pointer for the host's crashes as with a GPU; and its
// operators refuse tensors of the host, as a GPU's do. Everything is computed at once, on copies, by
// LibTorch's operators for CPUs.
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/view_native.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "tests/testing/test_device.h"

namespace varserve::testing {
namespace {

constexpr c10::DeviceType kFar = c10::DeviceType::PrivateUse1;
constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::PrivateUse1);
constexpr uintptr_t kDistance = uintptr_t{1} << 62;  // no address of a process has this bit

void* Near(const void* far) { return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(far) - kDistance); }

// The same memory as the host reads it.
at::Tensor Near(const at::Tensor& t) {
  if (t.is_cpu()) return t;
  const at::TensorOptions options = t.options().device(at::kCPU);
  if (t.numel() == 0) return at::empty(t.sizes(), options);
  return at::from_blob(Near(t.const_data_ptr()), t.sizes(), t.strides(), options);
}

class FarAllocator : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    constexpr size_t kAlignment = 64;
    void* const near = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
    auto* const far = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(near) + kDistance);
    return {far, near, &std::free, at::Device(kFar, 0)};
  }
  void copy_data(void* to, const void* from, size_t bytes) const override {
    std::memcpy(Near(to), Near(from), bytes);
  }
};

FarAllocator* Allocator() {
  static FarAllocator allocator;
  return &allocator;
}

at::Tensor Empty(at::IntArrayRef size, std::optional<at::ScalarType> type,
                 std::optional<at::Layout> /*layout*/, std::optional<at::Device> /*device*/,
                 std::optional<bool> /*pinned*/, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, Allocator(), kKeys, c10::dtype_or_default(type), format);
}

at::Tensor EmptyStrided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> type,
                        std::optional<at::Layout> /*layout*/, std::optional<at::Device> /*device*/,
                        std::optional<bool> /*pinned*/) {
  return at::detail::empty_strided_generic(size, stride, Allocator(), kKeys, c10::dtype_or_default(type));
}

at::Tensor CopyFrom(const at::Tensor& from, const at::Tensor& to, bool /*non_blocking*/) {
  Near(to).copy_(Near(from));
  return to;
}

// An output that is empty takes the result's shape.
at::Tensor CopyFromAndResize(const at::Tensor& from, const at::Tensor& to) {
  if (to.numel() == 0 && from.numel() > 0) {
    to.storage().set_data_ptr_noswap(Allocator()->allocate(from.nbytes()));
    to.storage().set_nbytes(from.nbytes());
    to.unsafeGetTensorImpl()->set_sizes_contiguous(from.sizes());
  }
  TORCH_CHECK(from.sizes() == to.sizes(), "an output of ", to.sizes(), " for a result of ", from.sizes());
  return CopyFrom(from, to, false);
}

at::Scalar ReadScalar(const at::Tensor& t) { return Near(t).item(); }

// Refuses tensors of the host but single numbers, and indices: GPUs' operators take those.
void Compute(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const std::string& name = op.schema().name();
  bool far = false;
  bool near = false;
  for (const c10::IValue& value : *stack) {
    const std::vector<at::Tensor> tensors = value.isTensorList() ? value.toTensorVector()
                                            : value.isTensor()   ? std::vector<at::Tensor>{value.toTensor()}
                                                                 : std::vector<at::Tensor>{};
    for (const at::Tensor& t : tensors) {
      far |= t.defined() && !t.is_cpu();
      near |= t.defined() && t.is_cpu() && t.dim() > 0;
    }
  }
  const bool by_indices = name == "aten::index" || name == "aten::index_put_";
  TORCH_CHECK(by_indices || !(far && near), name, ": tensors of the host and of the device");
  at::native::cpu_fallback(op, stack, /*error_on_views=*/true);
}

struct FarHooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex /*index*/) const override { return true; }
  at::Allocator* getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
};

// One stream, on which everything has ended at once.
struct FarGuard : c10::impl::NoOpDeviceGuardImpl<kFar> {
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool /*high_priority*/) const override {
    return getStream(device);
  }
  void record(void** /*event*/, const c10::Stream& /*stream*/, c10::DeviceIndex /*index*/,
              c10::EventFlag /*flag*/) const override {}
  void block(void* /*event*/, const c10::Stream& /*stream*/) const override {}
  bool queryEvent(void* /*event*/) const override { return true; }
  void synchronizeEvent(void* /*event*/) const override {}
};

C10_REGISTER_GUARD_IMPL(PrivateUse1, FarGuard);

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&Compute>()); }

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", &Empty);
  m.impl("empty_strided", &EmptyStrided);
  m.impl("_copy_from", &CopyFrom);
  m.impl("_copy_from_and_resize", &CopyFromAndResize);
  m.impl("_local_scalar_dense", &ReadScalar);
  m.impl("as_strided", &at::native::as_strided_tensorimpl);
  m.impl("view", &at::native::view);
  m.impl("_reshape_alias", &at::native::_reshape_alias);
}

class FarDevice : public ::testing::Environment {
 public:
  void SetUp() override {
    if (TestDevice() != "far") return;
    c10::register_privateuse1_backend("far");
    at::RegisterPrivateUse1HooksInterface(new FarHooks());
  }
};

[[maybe_unused]] const ::testing::Environment* const added =
    ::testing::AddGlobalTestEnvironment(new FarDevice);

}  // namespace
}  // namespace varserve::testing
