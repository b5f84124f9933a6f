// Settings of LibTorch that serving on a GPU needs.
#pragma once

#include <ATen/Context.h>

#include <cstdlib>

namespace varserve::backend {

// Call it before threads start: it sets an environment variable, which LibTorch reads at the first matrix
// product.
inline void SetUpLibTorchForGpus() {
  // cuBLAS's workspace must stay where it is, for graphs: LibTorch from 2.15 on would give it back after each
  // operation.
  setenv("TORCH_CUBLAS_WORKSPACE_CACHE", "1", /*overwrite=*/1);
  // cuDNN, which LibTorch prefers for attention in 16 bits on compute capability 9.0 and newer, compiles a
  // kernel for every new shape in every thread, half a second each. Prompts have all lengths.
  at::globalContext().setSDPUseCuDNN(false);
}

}  // namespace varserve::backend
