// Kernels run by Triton's interpreter, in a Python process, on tensors of TestDevice(), the CPU or the far
// device: everything of the cuda backend but the GPU. Also for float32, under names such as rms_norm_fp32.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "server/backend/cuda/kernels.h"
#include "tests/testing/far_graph.h"

namespace varserve::testing {

class InterpretedKernels final : public backend::Kernels {
 public:
  // Why there is no interpreter here; empty if there is one. Its command is $VARSERVE_KERNEL_INTERPRETER.
  static std::string WhyNot();
  // Null if there is no interpreter.
  static std::shared_ptr<const InterpretedKernels> Start();
  ~InterpretedKernels() override;

  absl::StatusOr<const backend::KernelForm*> Find(absl::string_view name) const override;
  // Null on the CPU.
  std::unique_ptr<const backend::GraphRecorder> MakeRecorder() const override;

 private:
  struct Named {
    std::string name;
    backend::KernelForm form;
  };
  using Argument = std::variant<int32_t, float, Place>;
  explicit InterpretedKernels(const char* command);
  void Enqueue(const backend::KernelForm& kernel, backend::Grid grid,
               absl::Span<const backend::KernelArg> args) const override;
  void Run(const std::string& kernel, backend::Grid grid, const std::vector<Argument>& arguments) const;

  int channel_ = -1;  // to and from the interpreter
  int child_ = -1;
  mutable std::list<Named> found_;
};

}  // namespace varserve::testing
