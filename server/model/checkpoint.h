// The weights of a Hugging Face model directory: model.safetensors, or shards with
// model.safetensors.index.json. Names and places of tensors; their bytes stay in the mapped files. No torch.
// Const after Open, but for TieEmbeddings.
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

  // NOT_FOUND where weights or a shard are missing; FAILED_PRECONDITION where they are of a kind that is not
  // supported, where a shard's name leads out of the directory, and where a tensor is stored twice.
  static absl::StatusOr<Checkpoint> Open(const std::string& model_dir, const Family& family);

  // By canonical name; nullptr if there is none.
  const Entry* Find(const std::string& name) const;
  // Why there is no tensor of this name, as far as the other names tell. NOT_FOUND, or FAILED_PRECONDITION
  // for quantized weights.
  absl::Status WhyMissing(const std::string& name) const;
  // The type of the embeddings: float32, float16, bfloat16; empty for others.
  std::string Dtype() const;

  // Where config.json says that the output layer has the embeddings' weights: whether it has. As
  // transformers, it does not where both are stored and differ; and where only the output layer's are stored,
  // they are both's.
  bool TieEmbeddings();

 private:
  absl::Status Add(std::unique_ptr<SafetensorsFile> file, const Family& family);

  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Entry> tensors_;  // by canonical name
};

}  // namespace varserve::model
