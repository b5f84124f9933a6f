#include "server/model/weight_loader.h"

#include <ATen/ATen.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status_macros.h"

namespace varserve::model {
namespace {

std::optional<at::ScalarType> TorchDtype(const std::string& dtype) {
  if (dtype == "F32") return at::kFloat;
  if (dtype == "F16") return at::kHalf;
  if (dtype == "BF16") return at::kBFloat16;
  if (dtype == "F64") return at::kDouble;
  return std::nullopt;
}

std::string ShapeText(at::IntArrayRef shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

}  // namespace

absl::StatusOr<at::Tensor> WeightLoader::Stored(const std::string& name, at::IntArrayRef shape) const {
  const Checkpoint::Entry* const entry = checkpoint_.Find(name);
  if (entry == nullptr) return checkpoint_.WhyMissing(name);
  const std::string tensor = absl::StrCat(entry->file->name(), ": tensor ", entry->stored_name);
  const std::optional<at::ScalarType> dtype = TorchDtype(entry->info.dtype);
  if (!dtype.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat(tensor, " has dtype ", entry->info.dtype,
                     ": quantized weights are not supported; supported: F32, "
                     "F16, BF16, F64"));
  }
  if (at::IntArrayRef(entry->info.shape) != shape) {
    return absl::FailedPreconditionError(absl::StrCat(tensor, " has shape ", ShapeText(entry->info.shape),
                                                      ", but config.json needs ", ShapeText(shape)));
  }
  return at::from_blob(
      const_cast<void*>(entry->file->Data(entry->info)), entry->info.shape,
      [entry](void*) { entry->file->Drop(entry->info); }, at::TensorOptions().dtype(*dtype));
}

at::Tensor WeightLoader::LoadAs(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
  return LoadStackedAs({{name, shape[0]}}, shape.slice(1), dtype);
}

std::vector<at::Tensor> WeightLoader::StoredParts(const Parts& parts, at::IntArrayRef inner, int64_t& rows) {
  std::vector<at::Tensor> stored;
  rows = 0;
  for (const auto& [name, size] : parts) {
    std::vector<int64_t> shape = {size};
    shape.insert(shape.end(), inner.begin(), inner.end());
    absl::StatusOr<at::Tensor> part = Stored(name, shape);
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

backend::LinearWeights WeightLoader::LoadLinear(const Parts& parts, int64_t inputs, Role role) {
  const int bits = quantize_bits_ == 0 || role == Role::kLayer ? quantize_bits_ : 8;
  const int64_t group = bits == 0 ? 0 : backend::QuantizationGroup(inputs, bits);
  if (group == 0) return ops_.Prepare(LoadStacked(parts, {inputs}));
  if (!status_.ok()) return {};
  int64_t rows = 0;
  std::vector<at::Tensor> stored = StoredParts(parts, {inputs}, rows);
  if (!status_.ok()) return {};
  const at::Tensor whole = at::empty({rows, inputs}, at::TensorOptions().dtype(dtype_));
  CopyParts(std::move(stored), whole);
  return Prepare(backend::Quantize(whole, bits, group));
}

backend::LinearWeights WeightLoader::Prepare(const backend::QuantizedMatrix& matrix) {
  if (ops_.reads_quantized()) {
    bytes_ += matrix.bytes();
    return ops_.Prepare(matrix);
  }
  at::Tensor weights = matrix.Dequantize().to(device_, dtype_);
  bytes_ += static_cast<int64_t>(weights.nbytes());
  return ops_.Prepare(std::move(weights));
}

}  // namespace varserve::model
