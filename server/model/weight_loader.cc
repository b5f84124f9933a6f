#include "server/model/weight_loader.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/model/quantized_weights.h"
#include "server/model/stored_tensor.h"

namespace varserve::model {
at::Tensor WeightLoader::LoadAs(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
  return LoadStackedAs({{name, shape[0]}}, shape.slice(1), dtype);
}

std::vector<at::Tensor> WeightLoader::StoredParts(const Parts& parts, at::IntArrayRef inner, int64_t& rows) {
  std::vector<at::Tensor> stored;
  rows = 0;
  for (const auto& [name, size] : parts) {
    std::vector<int64_t> shape = {size};
    shape.insert(shape.end(), inner.begin(), inner.end());
    absl::StatusOr<at::Tensor> part = StoredTensor(checkpoint_, name, shape, FloatTypes());
    if (!part.ok()) {
      status_ = part.status();
      return {};
    }
    stored.push_back(*std::move(part));
    rows += size;
  }
  return stored;
}

void WeightLoader::CopyParts(std::vector<at::Tensor> parts, at::Tensor target) {
  int64_t row = 0;
  for (at::Tensor& part : parts) {
    at::Tensor rows = target.narrow(0, row, part.size(0));
    target.is_cpu() ? void(rows.copy_(part)) : staged_.Copy(part, rows);
    row += part.size(0);
    part.reset();  // its pages are not needed again
  }
}

at::Tensor WeightLoader::LoadStackedAs(const Parts& parts, at::IntArrayRef inner, at::ScalarType dtype) {
  if (!status_.ok()) return {};
  std::vector<int64_t> shape = {0};
  shape.insert(shape.end(), inner.begin(), inner.end());
  std::vector<at::Tensor> stored = StoredParts(parts, inner, shape[0]);
  if (!status_.ok()) return {};
  at::Tensor target = at::empty(shape, at::TensorOptions().device(device_).dtype(dtype));
  CopyParts(std::move(stored), target);
  bytes_ += static_cast<int64_t>(target.nbytes());
  return target;
}

backend::LinearWeights WeightLoader::LoadLinear(const Parts& parts, int64_t inputs, Role role,
                                                bool has_bias) {
  Parts biases;
  for (const auto& [name, size] : parts)
    biases.emplace_back(absl::StrCat(absl::StripSuffix(name, "weight"), "bias"), size);
  at::Tensor bias = has_bias ? LoadStackedFloat(biases, {}) : at::Tensor();
  const int bits = quantize_bits_ == 0 || role == Role::kLayer ? quantize_bits_ : 8;
  if (IsQuantized(checkpoint_, quantization_, parts.front().first))
    return LoadQuantized(parts, inputs, std::move(bias));
  const int64_t group = bits == 0 ? 0 : backend::QuantizationGroup(inputs, bits);
  if (group == 0) return ops_.Prepare(LoadStacked(parts, {inputs}), std::move(bias));
  if (!status_.ok()) return {};
  int64_t rows = 0;
  std::vector<at::Tensor> stored = StoredParts(parts, {inputs}, rows);
  if (!status_.ok()) return {};
  const at::Tensor whole = at::empty({rows, inputs}, at::TensorOptions().dtype(dtype_));
  CopyParts(std::move(stored), whole);
  return Prepare(backend::Quantize(whole, bits, group), std::move(bias));
}

backend::LinearWeights WeightLoader::LoadQuantized(const Parts& parts, int64_t inputs, at::Tensor bias) {
  if (!status_.ok()) return {};
  std::vector<backend::QuantizedMatrix> matrices;
  for (const auto& [name, outputs] : parts) {
    absl::StatusOr<backend::QuantizedMatrix> matrix =
        ReadQuantized(checkpoint_, quantization_, name, outputs, inputs);
    if (!matrix.ok()) {
      status_ = matrix.status();
      return {};
    }
    matrices.push_back(*std::move(matrix));
  }
  ++num_quantized_;
  return Prepare(Stack(matrices), std::move(bias));
}

backend::LinearWeights WeightLoader::Prepare(const backend::QuantizedMatrix& matrix, at::Tensor bias) {
  if (ops_.reads_quantized()) {
    bytes_ += matrix.bytes();
    return ops_.Prepare(matrix, std::move(bias));
  }
  at::Tensor weights = matrix.Dequantize().to(device_, dtype_);
  bytes_ += static_cast<int64_t>(weights.nbytes());
  return ops_.Prepare(std::move(weights), std::move(bias));
}

}  // namespace varserve::model
