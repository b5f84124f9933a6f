#include "server/backend/cuda/driver_kernels.h"

#include <ATen/ops/zeros.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/backend/cuda/driver.h"
#include "server/backend/cuda/driver_graphs.h"

namespace varserve::backend {
namespace {

// Constants of cuda.h.
constexpr int kComputeCapabilityMajor = 75;  // CU_DEVICE_ATTRIBUTE_...
constexpr int kComputeCapabilityMinor = 76;
constexpr int kMaxDynamicSharedBytes = 8;  // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr int kJitErrorLog = 5;            // CU_JIT_ERROR_LOG_BUFFER
constexpr int kJitErrorLogBytes = 6;

absl::StatusOr<int> ComputeCapability(const Driver& driver, int index) {
  CUdevice device = 0;
  int major = 0;
  int minor = 0;
  for (const CUresult result : {driver.cuDeviceGet(&device, index),
                                driver.cuDeviceGetAttribute(&major, kComputeCapabilityMajor, device),
                                driver.cuDeviceGetAttribute(&minor, kComputeCapabilityMinor, device)}) {
    if (result != 0) return absl::FailedPreconditionError(driver.Message(result));
  }
  return 10 * major + minor;
}

class DriverKernels : public Kernels {
 public:
  DriverKernels(at::Device device, Driver driver, int capability)
      : device_(device), driver_(driver), capability_(capability) {}

  absl::StatusOr<const KernelForm*> Find(absl::string_view name) const override ABSL_LOCKS_EXCLUDED(mu_) {
    const KernelForm* const form = FormFor(name);
    if (form == nullptr) return absl::NotFoundError(absl::StrCat("no kernel ", name, " for this GPU"));
    absl::MutexLock lock(&mu_);
    if (functions_.contains(form)) return form;
    const c10::DeviceGuard guard(device_);
    CUmodule module = nullptr;
    std::array<char, 4096> log{};
    std::array<int, 2> options = {kJitErrorLog, kJitErrorLogBytes};
    std::array<void*, 2> values = {log.data(), reinterpret_cast<void*>(log.size())};
    CUresult result =
        driver_.cuModuleLoadDataEx(&module, form->ptx, options.size(), options.data(), values.data());
    CUfunction function = nullptr;
    if (result == 0) result = driver_.cuModuleGetFunction(&function, module, form->entry);
    if (result == 0)
      result = driver_.cuFuncSetAttribute(function, kMaxDynamicSharedBytes, form->shared_bytes);
    if (result != 0) {
      return absl::InternalError(
          absl::StrCat("kernel ", name, ": ", driver_.Message(result), " ", log.data()));
    }
    functions_.emplace(form, function);
    return form;
  }

  std::unique_ptr<const GraphRecorder> MakeRecorder() const override {
    return MakeDriverRecorder(driver_, device_);
  }

 protected:
  void Enqueue(const KernelForm& kernel, Grid grid, absl::Span<const KernelArg> args) const override
      ABSL_LOCKS_EXCLUDED(mu_) {
    CUfunction function = nullptr;
    {
      absl::MutexLock lock(&mu_);
      function = functions_.at(&kernel);
    }
    // Two pointers follow that Triton adds: scratch memory, which these kernels do not use.
    uint64_t null = 0;
    std::vector<void*> params;
    params.reserve(args.size() + 2);
    for (const KernelArg& arg : args) params.push_back(const_cast<uint64_t*>(&arg.bits()));
    params.insert(params.end(), {&null, &null});
    const c10::DeviceGuard guard(device_);
    const c10::Stream stream = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
    const CUresult result = driver_.cuLaunchKernel(
        function, static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z),
        static_cast<unsigned>(kernel.threads), 1, 1, static_cast<unsigned>(kernel.shared_bytes),
        stream.native_handle(), params.data(), nullptr);
    TORCH_CHECK(result == 0, kernel.name, ": ", driver_.Message(result));
  }

 private:
  // The newest form that the GPU runs. Forms of sm_90 and sm_100 use instructions that others lack.
  const KernelForm* FormFor(absl::string_view name) const {
    const KernelForm* fallback = nullptr;
    for (const KernelForm& form : EmbeddedKernels()) {
      if (form.name != name) continue;
      if (form.capability == capability_) return &form;
      if (form.capability == 80 && capability_ > 80) fallback = &form;
    }
    return fallback;
  }

  const at::Device device_;
  const Driver driver_;
  const int capability_;
  mutable absl::Mutex mu_;
  mutable std::map<const KernelForm*, CUfunction> functions_ ABSL_GUARDED_BY(mu_);
};

}  // namespace

absl::StatusOr<std::shared_ptr<const Kernels>> OpenDriverKernels(at::Device device) {
  // Opens this thread's context; memory alone might come from LibTorch's cache.
  const at::Tensor opens_context = at::zeros({1}, at::TensorOptions().device(device));
  absl::StatusOr<Driver> driver = Driver::Open();
  if (!driver.ok()) return driver.status();
  const absl::StatusOr<int> capability = ComputeCapability(*driver, device.index());
  if (!capability.ok()) return capability.status();
  if (*capability < 80) {
    return absl::FailedPreconditionError(
        absl::StrCat("the kernels need compute capability 8.0 (Ampere) or newer; this GPU has ",
                     *capability / 10, ".", *capability % 10));
  }
  return std::make_shared<const DriverKernels>(device, *driver, *capability);
}

}  // namespace varserve::backend
