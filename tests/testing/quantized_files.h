// Quantized matrices as checkpoints store them, written the way their libraries pack them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "server/backend/quantized_matrix.h"
#include "tests/testing/tiny_model.h"

namespace varserve::testing {

// The tensors that stand for STEM.weight, by their names.
FileTensors AsCompressedTensors(const std::string& stem, const backend::QuantizedMatrix& m);
FileTensors AsAwq(const std::string& stem, const backend::QuantizedMatrix& m);
FileTensors AsGptq(const std::string& stem, const backend::QuantizedMatrix& m);

// [rows, columns] float32, or int32 by its bits.
FileTensor ToFile(const at::Tensor& tensor);

}  // namespace varserve::testing
