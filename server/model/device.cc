#include "server/model/device.h"

#include <ATen/Context.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace varserve::model {
namespace {

constexpr char kAdvice[] =
    "set LD_LIBRARY_PATH to the lib folder in the one that ./dev libtorch --cuda prints, or run the cuda "
    "image, or use --device cpu";

// The number of GPUs, or why there is none.
absl::StatusOr<int> OpenCuda() {
  // Loading it registers the CUDA kernels with the dispatcher. Never closed.
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("--device: the CUDA libraries cannot be loaded: ", dlerror(), "; ", kAdvice));
  }
  if (!at::hasCUDA())
    return absl::FailedPreconditionError(
        "--device: no CUDA driver or no GPU on this machine; nvidia-smi has to list one. --device cpu needs "
        "none");
  const int count = at::detail::getCUDAHooks().deviceCount();
  if (count == 0)
    return absl::FailedPreconditionError(
        "--device: no GPU is visible to this process; --device cpu needs none");
  return count;
}

}  // namespace

absl::StatusOr<at::Device> OpenDevice(const std::string& flag) {
  if (flag == "cpu") return at::Device(at::kCPU);
  if (flag == "auto") {
    const absl::StatusOr<int> gpus = OpenCuda();
    return gpus.ok() ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  }
  // One that the program registered itself: tests do.
  if (c10::is_privateuse1_backend_registered() && flag == c10::get_privateuse1_backend())
    return at::Device(at::kPrivateUse1, 0);
  absl::string_view rest = flag;
  int index = 0;
  if (!absl::ConsumePrefix(&rest, "cuda") ||
      !(rest.empty() || (absl::ConsumePrefix(&rest, ":") && absl::SimpleAtoi(rest, &index) && index >= 0))) {
    return absl::InvalidArgumentError(
        absl::StrCat("--device: \"", flag, "\" is not auto, cpu, cuda or cuda:N"));
  }
  const absl::StatusOr<int> gpus = OpenCuda();
  if (!gpus.ok()) return gpus.status();
  if (index >= *gpus)
    return absl::FailedPreconditionError(
        absl::StrCat("--device: \"", flag, "\" does not exist; this machine has cuda:0 to cuda:", *gpus - 1));
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
}

absl::StatusOr<at::ScalarType> ChooseDtype(const std::string& flag, const std::string& checkpoint_dtype,
                                           at::Device device) {
  std::string name = flag;
  if (flag == "auto") {
    const bool half = checkpoint_dtype == "float16" || checkpoint_dtype == "bfloat16";
    name = !half ? "float32" : device.is_cpu() ? "bfloat16" : checkpoint_dtype;
  }
  if (name == "float32") return at::kFloat;
  if (name == "bfloat16") return at::kBFloat16;
  if (name == "float16") return at::kHalf;
  return absl::InvalidArgumentError(
      absl::StrCat("--dtype: \"", flag, "\" is not auto, float32, bfloat16 or float16"));
}

std::string DtypeName(at::ScalarType dtype) {
  return dtype == at::kFloat ? "float32" : dtype == at::kBFloat16 ? "bfloat16" : "float16";
}

}  // namespace varserve::model
