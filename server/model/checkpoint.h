// The weights of a Hugging Face model directory: model.safetensors, or shards with
// model.safetensors.index.json. Tensors are converted one by one from the mapped files, so at no time is more
// in memory than the weights in the serving dtype and one tensor.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/model/safetensors.h"

namespace varserve::model {

// Both generations of LLaVA weight names under one: language_model.{embed_tokens,layers.N...,norm}, lm_head,
// vision_tower..., multi_modal_projector....
std::string CanonicalWeightName(const std::string& stored);

class Checkpoint {
 public:
  static absl::StatusOr<Checkpoint> Open(const std::string& model_dir);

  bool Has(const std::string& name) const { return tensors_.contains(name); }
  // Sum of all tensors' elements.
  int64_t num_parameters() const;

 private:
  friend class WeightLoader;
  struct Entry {
    const SafetensorsFile* file;
    TensorInfo info;
  };
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Entry> tensors_;  // by canonical name
};

// Loads tensors of one checkpoint to one device and dtype. Remembers the first error; after one every tensor
// is undefined, so a model is read in one go and status() asked once.
class WeightLoader {
 public:
  WeightLoader(const Checkpoint& checkpoint, at::Device device, at::ScalarType dtype)
      : checkpoint_(checkpoint), device_(device), dtype_(dtype) {}

  at::Tensor Load(const std::string& name, at::IntArrayRef shape) { return LoadAs(name, shape, dtype_); }
  // In float32 whatever the serving dtype: norms, position embeddings.
  at::Tensor LoadFloat(const std::string& name, at::IntArrayRef shape) {
    return LoadAs(name, shape, at::kFloat);
  }
  // Several tensors one below the other, as one matrix: first sizes differ, the others are `inner`.
  using Parts = std::vector<std::pair<std::string, int64_t>>;
  at::Tensor LoadStacked(const Parts& parts, at::IntArrayRef inner) {
    return LoadStackedAs(parts, inner, dtype_);
  }
  at::Tensor LoadStackedFloat(const Parts& parts, at::IntArrayRef inner) {
    return LoadStackedAs(parts, inner, at::kFloat);
  }

  const absl::Status& status() const { return status_; }
  int64_t bytes() const { return bytes_; }  // loaded so far, in their new dtypes

 private:
  at::Tensor LoadAs(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype);
  at::Tensor LoadStackedAs(const Parts& parts, at::IntArrayRef inner, at::ScalarType dtype);
  void CopyInto(const std::string& name, at::Tensor target);

  const Checkpoint& checkpoint_;
  const at::Device device_;
  const at::ScalarType dtype_;
  absl::Status status_;
  int64_t bytes_ = 0;
};

}  // namespace varserve::model
