#include "server/model/stored_tensor.h"

#include <ATen/ATen.h>

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace varserve::model {
namespace {

std::string ShapeText(at::IntArrayRef shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

}  // namespace

const StoredTypes& FloatTypes() {
  static const StoredTypes kTypes = {
      {"F32", at::kFloat}, {"F16", at::kHalf}, {"BF16", at::kBFloat16}, {"F64", at::kDouble}};
  return kTypes;
}

absl::StatusOr<at::Tensor> StoredTensor(const Checkpoint& checkpoint, const std::string& name,
                                        at::IntArrayRef shape, const StoredTypes& types) {
  const Checkpoint::Entry* const entry = checkpoint.Find(name);
  if (entry == nullptr) return checkpoint.WhyMissing(name);
  const std::string tensor = absl::StrCat(entry->file->name(), ": tensor ", entry->stored_name);
  const auto type = types.find(entry->info.dtype);
  if (type == types.end()) {
    std::vector<std::string> names;
    for (const auto& [supported, unused] : types) names.push_back(supported);
    return absl::FailedPreconditionError(
        absl::StrCat(tensor, " has dtype ", entry->info.dtype,
                     ", which is not supported here (quantized weights need a "
                     "quantization_config in config.json); supported: ",
                     absl::StrJoin(names, ", ")));
  }
  if (at::IntArrayRef(entry->info.shape) != shape) {
    return absl::FailedPreconditionError(absl::StrCat(tensor, " has shape ", ShapeText(entry->info.shape),
                                                      ", but config.json needs ", ShapeText(shape)));
  }
  return at::from_blob(
      const_cast<void*>(entry->file->Data(entry->info)), entry->info.shape,
      [entry](void*) { entry->file->Drop(entry->info); }, at::TensorOptions().dtype(type->second));
}

}  // namespace varserve::model
