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

std::vector<at::Tensor> WeightLoader::Stored(const Parts& parts, at::IntArrayRef inner) {
  if (!status_.ok()) return {};
  std::vector<at::Tensor> stored;
  for (const auto& [name, rows] : parts) {
    std::vector<int64_t> shape = {rows};
    shape.insert(shape.end(), inner.begin(), inner.end());
    absl::StatusOr<at::Tensor> part = StoredTensor(checkpoint_, name, shape, FloatTypes());
    if (!part.ok()) {
      status_ = part.status();
      return {};
    }
    stored.push_back(*std::move(part));
  }
  return stored;
}

at::Tensor WeightLoader::Stack(const Parts& parts, at::IntArrayRef inner, const at::TensorOptions& options) {
  std::vector<at::Tensor> stored = Stored(parts, inner);  // all are looked at before memory is taken
  if (stored.empty()) return {};
  std::vector<int64_t> shape = stored.front().sizes().vec();
  shape[0] = 0;
  for (const at::Tensor& part : stored) shape[0] += part.size(0);
  at::Tensor target = at::empty(shape, options);
  int64_t row = 0;
  for (at::Tensor& part : stored) {
    at::Tensor rows = target.narrow(0, row, part.size(0));
    target.is_cpu() ? void(rows.copy_(part)) : staged_.Copy(part, rows);
    row += part.size(0);
    part.reset();  // its pages are not needed again
  }
  return target;
}

at::Tensor WeightLoader::LoadStackedAs(const Parts& parts, at::IntArrayRef inner, at::ScalarType dtype) {
  at::Tensor target = Stack(parts, inner, at::TensorOptions().device(device_).dtype(dtype));
  if (target.defined()) bytes_ += static_cast<int64_t>(target.nbytes());
  return target;
}

at::Tensor WeightLoader::LoadBiases(const Parts& parts) {
  Parts biases;
  for (const auto& [name, size] : parts)
    biases.emplace_back(absl::StrCat(absl::StripSuffix(name, "weight"), "bias"), size);
  return LoadStackedFloat(biases, {});
}

backend::LinearWeights WeightLoader::LoadLinear(const Parts& parts, int64_t inputs, Role role,
                                                bool has_bias) {
  at::Tensor bias = has_bias ? LoadBiases(parts) : at::Tensor();
  if (IsQuantized(checkpoint_, quantization_, parts.front().first))
    return LoadQuantized(parts, inputs, std::move(bias));
  const int bits = quantize_bits_ == 0 || role == Role::kLayer ? quantize_bits_ : 8;
  const int64_t group = bits == 0 ? 0 : backend::QuantizationGroup(inputs, bits);
  if (group == 0) return LoadDense(parts, inputs, std::move(bias));
  const at::Tensor whole = Stack(parts, {inputs}, at::TensorOptions().dtype(dtype_));
  if (!whole.defined()) return {};
  return Prepare(backend::Quantize(whole, bits, group), std::move(bias));
}

backend::LinearWeights WeightLoader::LoadUnquantized(const std::vector<std::string>& names, int64_t outputs,
                                                     int64_t inputs, bool has_bias) {
  Parts parts;
  for (const std::string& name : names) parts.emplace_back(absl::StrCat(name, ".weight"), outputs);
  at::Tensor bias = has_bias ? LoadBiases(parts) : at::Tensor();
  return LoadDense(parts, inputs, std::move(bias));
}

backend::LinearWeights WeightLoader::LoadDense(const Parts& parts, int64_t inputs, at::Tensor bias) {
  if (!ops_.Packs(dtype_)) return ops_.Prepare(LoadStacked(parts, {inputs}), std::move(bias));
  std::vector<at::Tensor> stored = Stored(parts, {inputs});
  if (stored.empty()) return {};
  for (at::Tensor& part : stored) {
    part = part.to(dtype_);
    bytes_ += static_cast<int64_t>(part.nbytes());
  }
  return ops_.Pack(stored, std::move(bias));
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
  return Prepare(StackQuantized(std::move(matrices)), std::move(bias));
}

backend::LinearWeights WeightLoader::Prepare(const backend::QuantizedMatrix& matrix, at::Tensor bias) {
  const auto options = at::TensorOptions().device(device_).dtype(dtype_);
  backend::LinearWeights prepared = ops_.Prepare(matrix, std::move(bias), options);
  for (const at::Tensor& part : {prepared.weight, prepared.scales, prepared.zeros}) {
    if (part.defined()) bytes_ += static_cast<int64_t>(part.nbytes());
  }
  return prepared;
}

}  // namespace varserve::model
