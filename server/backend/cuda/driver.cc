#include "server/backend/cuda/driver.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"

namespace varserve::backend {
namespace {

template <typename Function>
bool FindSymbol(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

}  // namespace

absl::StatusOr<Driver> Driver::Open() {
  void* const library = dlopen("libcuda.so.1", RTLD_NOW);  // never closed
  if (library == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("NVIDIA's driver cannot be opened: ", dlerror()));
  }
  Driver d;
  const bool complete = FindSymbol(library, "cuDeviceGet", d.cuDeviceGet) &&
                        FindSymbol(library, "cuDeviceGetAttribute", d.cuDeviceGetAttribute) &&
                        FindSymbol(library, "cuGetErrorString", d.cuGetErrorString) &&
                        FindSymbol(library, "cuModuleLoadDataEx", d.cuModuleLoadDataEx) &&
                        FindSymbol(library, "cuModuleGetFunction", d.cuModuleGetFunction) &&
                        FindSymbol(library, "cuFuncSetAttribute", d.cuFuncSetAttribute) &&
                        FindSymbol(library, "cuLaunchKernel", d.cuLaunchKernel) &&
                        FindSymbol(library, "cuStreamBeginCapture_v2", d.cuStreamBeginCapture_v2) &&
                        FindSymbol(library, "cuStreamEndCapture", d.cuStreamEndCapture) &&
                        FindSymbol(library, "cuGraphInstantiateWithFlags", d.cuGraphInstantiateWithFlags) &&
                        FindSymbol(library, "cuGraphDestroy", d.cuGraphDestroy) &&
                        FindSymbol(library, "cuGraphExecDestroy", d.cuGraphExecDestroy) &&
                        FindSymbol(library, "cuGraphLaunch", d.cuGraphLaunch);
  if (!complete) return absl::FailedPreconditionError("NVIDIA's driver lacks a function; it is too old");
  return d;
}

std::string Driver::Message(CUresult result) const {
  const char* text = nullptr;
  cuGetErrorString(result, &text);
  return text == nullptr ? absl::StrCat("error ", result) : text;
}

}  // namespace varserve::backend
