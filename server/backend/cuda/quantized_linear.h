// Weights of 4 or 8 bits on the device, and what is computed with them. Written in
// kernels/quantized_linear.py.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/backend/cuda/kernels.h"
#include "server/backend/layer_ops.h"

namespace varserve::backend {

// Thread-safe. LinearWeights: weight is [O, K] uint8 for 8 bits and [O, K / 2] for 4, scales [O, groups]
// float32, zeros [O, groups] uint8.
class QuantizedLinear {
 public:
  // `type`: of activations, as in the kernels' names. NOT_FOUND, or INTERNAL with the driver's message.
  static absl::StatusOr<QuantizedLinear> Find(std::shared_ptr<const Kernels> kernels,
                                              const std::string& type);

  // Whether the kernels can read such a matrix.
  static bool Fits(const QuantizedMatrix& matrix);
  // `options`: dtype of activations, and the device.
  static LinearWeights Prepare(const QuantizedMatrix& matrix, const at::Tensor& bias,
                               const at::TensorOptions& options);

  // out (+)= x W^T + bias. x: [N, K], rows may be strided; out: [N, O]
  void Multiply(const at::Tensor& x, const LinearWeights& w, bool adds, const at::Tensor& out) const;
  // Rows of a table. ids: [N] int64, out: [N, K]
  void LookUp(const at::Tensor& ids, const LinearWeights& table, const at::Tensor& out) const;

 private:
  struct Forms {
    const KernelForm* few;
    const KernelForm* many;
    const KernelForm* look_up;
  };
  const Forms& FormsFor(const LinearWeights& w) const { return w.bits == 4 ? int4_ : int8_; }

  std::shared_ptr<const Kernels> kernels_;
  Forms int4_{};
  Forms int8_{};
};

}  // namespace varserve::backend
