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

at::Tensor WeightLoader::LoadStackedAs(const Parts& parts, at::IntArrayRef inner, at::ScalarType dtype) {
  if (!status_.ok()) return {};
  std::vector<int64_t> shape = {0};
  shape.insert(shape.end(), inner.begin(), inner.end());
  std::vector<at::Tensor> stored;  // all are looked at before memory is taken
  for (const auto& [name, rows] : parts) {
    std::vector<int64_t> part_shape = shape;
    part_shape[0] = rows;
    absl::StatusOr<at::Tensor> part = Stored(name, part_shape);
    if (!part.ok()) {
      status_ = part.status();
      return {};
    }
    stored.push_back(*std::move(part));
    shape[0] += rows;
  }
  at::Tensor target = at::empty(shape, at::TensorOptions().device(device_).dtype(dtype));
  int64_t row = 0;
  for (at::Tensor& part : stored) {
    at::Tensor rows = target.narrow(0, row, part.size(0));
    device_.is_cpu() ? void(rows.copy_(part)) : staged_.Copy(part, rows);
    row += part.size(0);
    part.reset();  // its pages are not needed again
  }
  bytes_ += static_cast<int64_t>(target.nbytes());
  return target;
}

}  // namespace varserve::model
