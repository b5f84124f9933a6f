// Loads tensors of one checkpoint to one device and dtype, one by one: memory never holds more than the
// weights in the serving dtype and one other tensor. Thread-compatible.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/backend/layer_ops.h"
#include "server/model/checkpoint.h"
#include "server/model/quantization_config.h"
#include "server/model/staged_copy.h"

namespace varserve::model {

// Keeps the first error; after it, every tensor is undefined. So a model is read without checks, and status()
// asked once at the end.
class WeightLoader {
 public:
  // quantization: of the checkpoint. quantize_bits: to which LoadLinear quantizes what is not, 8 or 4; 0: not
  // at all.
  WeightLoader(const Checkpoint& checkpoint, const QuantizationConfig& quantization,
               const backend::LayerOps& ops, at::Device device, at::ScalarType dtype, int quantize_bits)
      : checkpoint_(checkpoint),
        quantization_(quantization),
        ops_(ops),
        device_(device),
        dtype_(dtype),
        quantize_bits_(quantize_bits),
        staged_(device) {}

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

  // What the decoder's matrices are for: those of the vocabulary never have less than 8 bits.
  enum class Role { kLayer, kVocabulary };
  // A matrix of the decoder, several tensors stacked, each [size, inputs]: quantized if that is asked for and
  // its inputs can be divided into groups.
  // bias: whether each part has one, named NAME.bias for NAME.weight.
  backend::LinearWeights LoadLinear(const Parts& parts, int64_t inputs, Role role, bool bias = false);

  // Matrices of an image encoder below each other, each [outputs, inputs], named NAME.weight and NAME.bias:
  // never quantized.
  backend::LinearWeights LoadUnquantized(const std::vector<std::string>& names, int64_t outputs,
                                         int64_t inputs, bool bias = true);

  // Matrices that were quantized in the checkpoint.
  int num_quantized() const { return num_quantized_; }

  const absl::Status& status() const { return status_; }
  int64_t bytes() const { return bytes_; }  // loaded so far, in their new dtypes

 private:
  at::Tensor LoadAs(const std::string& name, at::IntArrayRef shape, at::ScalarType dtype);
  at::Tensor LoadStackedAs(const Parts& parts, at::IntArrayRef inner, at::ScalarType dtype);
  // As they are in the files; empty if there is an error.
  std::vector<at::Tensor> Stored(const Parts& parts, at::IntArrayRef inner);
  // The parts below each other; undefined if there is an error.
  at::Tensor Stack(const Parts& parts, at::IntArrayRef inner, const at::TensorOptions& options);
  at::Tensor LoadBiases(const Parts& parts);
  backend::LinearWeights LoadDense(const Parts& parts, int64_t inputs, at::Tensor bias);
  backend::LinearWeights Prepare(const backend::QuantizedMatrix& matrix, at::Tensor bias);
  backend::LinearWeights LoadQuantized(const Parts& parts, int64_t inputs, at::Tensor bias);

  const Checkpoint& checkpoint_;
  const QuantizationConfig quantization_;
  const backend::LayerOps& ops_;
  const at::Device device_;
  const at::ScalarType dtype_;
  const int quantize_bits_;
  StagedCopy staged_;
  absl::Status status_;
  int64_t bytes_ = 0;
  int num_quantized_ = 0;
};

}  // namespace varserve::model
