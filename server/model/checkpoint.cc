#include "server/model/checkpoint.h"

#include <ATen/ATen.h>
#include <sys/stat.h>

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "server/base/status_macros.h"
#include "server/model/json_fields.h"

namespace varserve::model {
namespace {

absl::StatusOr<std::vector<std::string>> FileNames(const std::string& model_dir) {
  const std::string single = absl::StrCat(model_dir, "/model.safetensors");
  const std::string index = absl::StrCat(model_dir, "/model.safetensors.index.json");
  struct stat info = {};
  if (stat(single.c_str(), &info) == 0) return std::vector<std::string>{single};
  absl::StatusOr<nlohmann::json> parsed = ReadJsonFile(index);
  if (absl::IsNotFound(parsed.status())) {
    return absl::NotFoundError(
        absl::StrCat(model_dir, ": has neither model.safetensors nor model.safetensors.index.json"));
  }
  RETURN_IF_ERROR(parsed.status());
  std::set<std::string> names;
  const nlohmann::json weight_map = JsonFields(*parsed, index).Object("weight_map");
  for (const auto& [tensor, file] : weight_map.items()) {
    if (!file.is_string())
      return absl::InvalidArgumentError(absl::StrCat(index, ": weight_map: ", tensor, " is not a string"));
    names.insert(absl::StrCat(model_dir, "/", file.get<std::string>()));
  }
  if (names.empty())
    return absl::InvalidArgumentError(absl::StrCat(index, ": weight_map is missing or empty"));
  return std::vector<std::string>(names.begin(), names.end());
}

absl::StatusOr<at::ScalarType> TorchDtype(const std::string& dtype) {
  if (dtype == "F32") return at::kFloat;
  if (dtype == "F16") return at::kHalf;
  if (dtype == "BF16") return at::kBFloat16;
  if (dtype == "F64") return at::kDouble;
  return absl::InvalidArgumentError(absl::StrCat("has dtype ", dtype, "; supported: F32, F16, BF16, F64"));
}

std::string ShapeText(at::IntArrayRef shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

}  // namespace

std::string CanonicalWeightName(const std::string& stored) {
  absl::string_view name = stored;
  absl::ConsumePrefix(&name, "model.");
  if (absl::ConsumePrefix(&name, "language_model.")) {
    if (absl::StartsWith(name, "lm_head.")) return std::string(name);
    absl::ConsumePrefix(&name, "model.");
    return absl::StrCat("language_model.", name);
  }
  if (absl::ConsumePrefix(&name, "vision_tower.")) {
    absl::ConsumePrefix(&name, "vision_model.");
    return absl::StrCat("vision_tower.", name);
  }
  return std::string(name);
}

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& model_dir) {
  Checkpoint checkpoint;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, FileNames(model_dir));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(std::unique_ptr<SafetensorsFile> file, SafetensorsFile::Open(name));
    for (const auto& [stored, info] : file->tensors()) {
      checkpoint.tensors_.emplace(CanonicalWeightName(stored), Entry{file.get(), info});
    }
    checkpoint.files_.push_back(std::move(file));
  }
  return checkpoint;
}

int64_t Checkpoint::num_parameters() const {
  int64_t total = 0;
  for (const auto& [name, entry] : tensors_) total += c10::multiply_integers(entry.info.shape);
  return total;
}

at::Tensor WeightLoader::LoadAs(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
  if (!status_.ok()) return {};
  at::Tensor target = at::empty(shape, at::TensorOptions().device(device_).dtype(dtype));
  CopyInto(name, target);
  bytes_ += static_cast<int64_t>(target.nbytes());
  return status_.ok() ? target : at::Tensor();
}

at::Tensor WeightLoader::LoadStackedAs(const Parts& parts, at::IntArrayRef inner, at::ScalarType dtype) {
  if (!status_.ok()) return {};
  std::vector<int64_t> shape = {0};
  for (const auto& [name, rows] : parts) shape[0] += rows;
  shape.insert(shape.end(), inner.begin(), inner.end());
  at::Tensor target = at::empty(shape, at::TensorOptions().device(device_).dtype(dtype));
  int64_t row = 0;
  for (const auto& [name, rows] : parts) {
    CopyInto(name, target.narrow(0, row, rows));
    row += rows;
  }
  bytes_ += static_cast<int64_t>(target.nbytes());
  return status_.ok() ? target : at::Tensor();
}

void WeightLoader::CopyInto(const std::string& name, at::Tensor target) {
  if (!status_.ok()) return;
  const auto it = checkpoint_.tensors_.find(name);
  if (it == checkpoint_.tensors_.end()) {
    status_ = absl::NotFoundError(absl::StrCat("weights: tensor ", name, " is missing; is a shard missing?"));
    return;
  }
  const auto& [file, info] = it->second;
  const auto dtype = TorchDtype(info.dtype);
  if (!dtype.ok()) {
    status_ = absl::InvalidArgumentError(
        absl::StrCat(file->path(), ": tensor ", name, " ", dtype.status().message()));
    return;
  }
  if (at::IntArrayRef(info.shape) != target.sizes()) {
    status_ = absl::InvalidArgumentError(absl::StrCat(file->path(), ": tensor ", name, " has shape ",
                                                      ShapeText(info.shape), ", config.json needs ",
                                                      ShapeText(target.sizes())));
    return;
  }
  target.copy_(
      at::from_blob(const_cast<void*>(file->Data(info)), info.shape, at::TensorOptions().dtype(*dtype)));
  file->Drop(info);
}

}  // namespace varserve::model
