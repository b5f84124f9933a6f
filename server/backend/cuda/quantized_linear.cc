#include "server/backend/cuda/quantized_linear.h"

#include <ATen/ATen.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace varserve::backend {
namespace {

constexpr int64_t kLeastGroup = 32;  // inputs

}  // namespace

absl::StatusOr<QuantizedLinear> QuantizedLinear::Find(std::shared_ptr<const Kernels> kernels,
                                                      const std::string& type) {
  QuantizedLinear linear;
  for (const auto& [bits, forms] : {std::pair("int4_", &linear.int4_), {"int8_", &linear.int8_}}) {
    ASSIGN_OR_RETURN(forms->few, kernels->Find(absl::StrCat("multiply_", bits, "few_", type)));
    ASSIGN_OR_RETURN(forms->many, kernels->Find(absl::StrCat("multiply_", bits, "many_", type)));
    ASSIGN_OR_RETURN(forms->look_up, kernels->Find(absl::StrCat("look_up_", bits, type)));
  }
  linear.kernels_ = std::move(kernels);
  return linear;
}

bool QuantizedLinear::Fits(const QuantizedMatrix& matrix) {
  const int64_t halves = matrix.bits == 4 ? 2 : 1;  // of a row, each in one half of the bytes
  return matrix.group() % kLeastGroup == 0 && matrix.inputs() % (halves * kLeastGroup) == 0;
}

LinearWeights QuantizedLinear::Prepare(const QuantizedMatrix& matrix, const at::Tensor& bias,
                                       const at::TensorOptions& options) {
  at::Tensor codes = matrix.codes;
  if (matrix.bits == 4) {
    const std::vector<at::Tensor> halves = codes.chunk(2, 1);
    codes = halves[0].bitwise_or(halves[1].bitwise_left_shift(4));
  }
  const at::Tensor zeros =
      matrix.zeros.defined() ? matrix.zeros : at::full_like(matrix.scales, 1 << (matrix.bits - 1), at::kByte);
  return {.weight = codes.contiguous().to(options.device()),
          .bias = bias.defined() ? bias.to(options) : bias,
          .scales = matrix.scales.contiguous().to(options.device()),
          .zeros = zeros.contiguous().to(options.device()),
          .bits = matrix.bits,
          .outputs = matrix.outputs(),
          .inputs = matrix.inputs()};
}

void QuantizedLinear::Multiply(const at::Tensor& x, const LinearWeights& w, bool adds,
                               const at::Tensor& out) const {
  const Forms& forms = FormsFor(w);
  const KernelForm& form = x.size(0) <= forms.few->lanes ? *forms.few : *forms.many;
  // Without a bias, it is not read.
  kernels_->Launch(
      form, {CeilDiv(x.size(0), form.lanes), CeilDiv(w.outputs, form.slots)},
      {x, w.weight, w.scales, w.zeros, w.bias.defined() ? w.bias : x, out, x.size(0), w.inputs, w.outputs,
       w.inputs / w.scales.size(1), x.stride(0), w.bias.defined() ? 1 : 0, adds ? 1 : 0});
}

void QuantizedLinear::LookUp(const at::Tensor& ids, const LinearWeights& table, const at::Tensor& out) const {
  const KernelForm& form = *FormsFor(table).look_up;
  kernels_->Launch(
      form, {ids.size(0), CeilDiv(table.inputs, form.slots)},
      {ids, table.weight, table.scales, table.zeros, out, table.inputs, table.inputs / table.scales.size(1)});
}

}  // namespace varserve::backend
