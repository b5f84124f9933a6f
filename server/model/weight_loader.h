// Loads tensors of one checkpoint to one device and dtype, one by one: memory never holds more than the
// weights in the serving dtype and one other tensor. Thread-compatible.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/model/checkpoint.h"
#include "server/model/staged_copy.h"

namespace varserve::model {

// Keeps the first error; after it, every tensor is undefined. So a model is read without checks, and status()
// asked once at the end.
class WeightLoader {
 public:
  WeightLoader(const Checkpoint& checkpoint, at::Device device, at::ScalarType dtype)
      : checkpoint_(checkpoint), device_(device), dtype_(dtype), staged_(device) {}

  at::Tensor Load(const std::string& name, at::IntArrayRef shape) { return LoadAs(name, shape, dtype_); }
  // In float32 for any serving dtype: norms, position embeddings.
  at::Tensor LoadFloat(const std::string& name, at::IntArrayRef shape) {
    return LoadAs(name, shape, at::kFloat);
  }
  // Several tensors stacked into one matrix: the first sizes differ, the others are `inner`.
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
  // The stored tensor, mapped, if it has this shape and a dtype that can be served.
  absl::StatusOr<at::Tensor> Stored(const std::string& name, at::IntArrayRef shape) const;

  const Checkpoint& checkpoint_;
  const at::Device device_;
  const at::ScalarType dtype_;
  StagedCopy staged_;
  absl::Status status_;
  int64_t bytes_ = 0;
};

}  // namespace varserve::model
