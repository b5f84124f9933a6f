// Where tests run on a GPU (VARSERVE_TEST_DEVICE=cuda), opens LibTorch's CUDA library before the first test.
// What LibTorch knows of GPUs it asks for once, and at::manual_seed asks: later it would be too late.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include "server/backend/gpu_settings.h"
#include "tests/testing/test_device.h"

namespace varserve::testing {
namespace {

class GpuLibraries : public ::testing::Environment {
 public:
  void SetUp() override {
    if (TestDevice() != "cuda") return;
    backend::SetUpLibTorchForGpus();
    ASSERT_NE(dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL), nullptr) << dlerror();
  }
};

[[maybe_unused]] const ::testing::Environment* const added =
    ::testing::AddGlobalTestEnvironment(new GpuLibraries);

}  // namespace
}  // namespace varserve::testing
