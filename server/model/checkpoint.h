// The weights of a Hugging Face model directory: model.safetensors, or shards with
// model.safetensors.index.json. Holds names and positions of tensors; their bytes stay in the mapped files.
// No torch. Const after Open, except for TieEmbeddings.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/model/families/family.h"
#include "server/model/safetensors.h"

namespace varserve::model {

class Checkpoint {
 public:
  struct Entry {
    const SafetensorsFile* file;
    std::string stored_name;
    TensorInfo info;
  };

  // NOT_FOUND if weights or a shard are missing; FAILED_PRECONDITION if their format is not supported, a
  // shard's name leads out of the directory, or a tensor is stored twice.
  static absl::StatusOr<Checkpoint> Open(const std::string& model_dir, const Family& family);

  // By canonical name; nullptr if there is none.
  const Entry* Find(const std::string& name) const;
  // All, by their canonical names.
  const std::map<std::string, Entry>& tensors() const { return tensors_; }
  // Why there is no tensor of this name, judging by the other names. NOT_FOUND, or FAILED_PRECONDITION
  // for quantized weights that config.json does not describe.
  absl::Status WhyMissing(const std::string& name) const;
  // The type of the embeddings: float32, float16, bfloat16; empty for others.
  std::string Dtype() const;

  // Whether the output layer uses the embeddings' weights, if config.json says so. As in transformers, it
  // does not if both are stored and differ; if only the output layer's are stored, the embeddings use these.
  bool TieEmbeddings();

 private:
  absl::Status Add(std::unique_ptr<SafetensorsFile> file, const Family& family);

  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Entry> tensors_;  // by canonical name
};

}  // namespace varserve::model
