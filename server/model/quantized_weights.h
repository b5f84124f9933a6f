// Matrices of a quantized checkpoint, in the layouts of compressed-tensors (pack-quantized), AutoAWQ (gemm)
// and GPTQ. All pack integers into words of 32 bits.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/backend/quantized_matrix.h"
#include "server/model/checkpoint.h"
#include "server/model/quantization_config.h"

namespace varserve::model {

// Whether the matrix NAME.weight is stored quantized.
bool IsQuantized(const Checkpoint& checkpoint, const QuantizationConfig& config, const std::string& name);

// FAILED_PRECONDITION naming file and tensor if its parts do not fit config.json. => [outputs, inputs]
absl::StatusOr<backend::QuantizedMatrix> ReadQuantized(const Checkpoint& checkpoint,
                                                       const QuantizationConfig& config,
                                                       const std::string& name, int64_t outputs,
                                                       int64_t inputs);

// Matrices with the same inputs below each other.
backend::QuantizedMatrix StackQuantized(std::vector<backend::QuantizedMatrix> parts);

}  // namespace varserve::model
