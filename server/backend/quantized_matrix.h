// Weights of 4 or 8 bits: a weight is (code - zero) * scale, with a scale and a zero for each output and
// group of inputs.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace varserve::backend {

struct QuantizedMatrix {
  at::Tensor codes;   // [N, K] uint8, in [0, 2^bits)
  at::Tensor scales;  // [N, groups] float32
  at::Tensor zeros;   // [N, groups] uint8; undefined: 128 for 8 bits, 8 for 4 bits
  int bits = 0;       // 8, without zeros, or 4

  int64_t outputs() const { return codes.size(0); }
  int64_t inputs() const { return codes.size(1); }
  int64_t groups() const { return scales.size(1); }
  int64_t group() const { return inputs() / groups(); }
  // [N, K] float32, on the host
  at::Tensor Dequantize() const;
};

// Inputs of a group for weights with `inputs` inputs: 128 for 8 bits, 64 for 4, or less if that divides the
// inputs; 0 if they cannot be quantized.
int64_t QuantizationGroup(int64_t inputs, int bits);

// The nearest codes, of scales that make the squared error of each group small. weights: [N, K] on the host
QuantizedMatrix Quantize(const at::Tensor& weights, int bits, int64_t group);

}  // namespace varserve::backend
