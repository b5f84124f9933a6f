// Tensors of a checkpoint where they are mapped.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "server/model/checkpoint.h"

namespace varserve::model {

// Types in safetensors' words.
using StoredTypes = std::map<std::string, at::ScalarType>;
const StoredTypes& FloatTypes();

// The tensor, without a copy, if it has this shape and one of the types. Its pages are dropped when the
// result is no longer used. NOT_FOUND or FAILED_PRECONDITION naming file and tensor.
absl::StatusOr<at::Tensor> StoredTensor(const Checkpoint& checkpoint, const std::string& name,
                                        at::IntArrayRef shape, const StoredTypes& types);

}  // namespace varserve::model
