#include "server/backend/cuda/kernels.h"

#include <c10/util/Exception.h>

#include <cstring>

#include "absl/strings/ascii.h"

namespace varserve::backend {

KernelArg::KernelArg(int64_t value) : KernelArg(static_cast<int>(value)) {
  TORCH_CHECK(static_cast<int>(value) == value, "a kernel's argument is too large: ", value);
}

void Kernels::Launch(const KernelForm& kernel, Grid grid, std::initializer_list<KernelArg> args) const {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  TORCH_CHECK(args.size() == std::strlen(kernel.arguments), kernel.name, " takes ",
              std::strlen(kernel.arguments), " arguments, not ", args.size());
  const char* type = kernel.arguments;
  for (const KernelArg& arg : args) {
    const char wanted = absl::ascii_tolower(*type);
    TORCH_CHECK(arg.type() == wanted, kernel.name, ": argument ", type - kernel.arguments, " is a ",
                arg.type(), ", not a ", wanted);
    // The GPU reads 16 bytes at once where it may.
    TORCH_CHECK(*type == wanted || arg.bits() % 16 == 0, kernel.name, ": argument ", type - kernel.arguments,
                " is not a multiple of 16");
    ++type;
  }
  Enqueue(kernel, grid, {args.begin(), args.size()});
}

}  // namespace varserve::backend
