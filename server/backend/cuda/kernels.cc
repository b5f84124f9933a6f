#include "server/backend/cuda/kernels.h"

#include <c10/util/Exception.h>

#include <cstring>

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
    TORCH_CHECK(arg.type() == *type, kernel.name, ": argument ", type - kernel.arguments, " is a ",
                arg.type(), ", not a ", *type);
    ++type;
  }
  Enqueue(kernel, grid, {args.begin(), args.size()});
}

}  // namespace varserve::backend
