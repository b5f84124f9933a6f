// Kernels run by Triton's interpreter, in a Python process, on tensors of the CPU: everything of the cuda
// backend but the GPU. Also for float32, under names such as rms_norm_fp32.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "server/backend/cuda/kernels.h"

namespace varserve::testing {

class InterpretedKernels final : public backend::Kernels {
 public:
  // Why there is no interpreter here; empty if there is one. Its command is $VARSERVE_KERNEL_INTERPRETER.
  static std::string WhyNot();
  // Null if there is no interpreter.
  static std::shared_ptr<const InterpretedKernels> Start();
  ~InterpretedKernels() override;

  absl::StatusOr<const backend::KernelForm*> Find(absl::string_view name) const override;
  // Its graphs do the work again, on the tensors and with the sizes of the first time.
  std::unique_ptr<const backend::GraphRecorder> MakeRecorder() const override;

 private:
  struct Named {
    std::string name;
    backend::KernelForm form;
  };
  explicit InterpretedKernels(const char* command);
  void Enqueue(const backend::KernelForm& kernel, backend::Grid grid,
               absl::Span<const backend::KernelArg> args) const override;

  int channel_ = -1;  // to and from the interpreter
  int child_ = -1;
  mutable std::list<Named> found_;
};

}  // namespace varserve::testing
