// The sets of kernels as test parameters, and random inputs.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "server/backend/cpu/cpu_kernels.h"
#include "server/backend/cpu/weight_panels.h"
#include "tests/unit/backend/cpu/bfloat16.h"

namespace varserve::backend::cpu {

inline std::string KernelName(const ::testing::TestParamInfo<InstructionSet>& info) {
  return info.param.name;
}

inline float FromFloat16(uint16_t half) {
  const int exponent = (half >> 10) & 31;
  const int mantissa = half & 1023;
  const float sign = (half & 0x8000) != 0 ? -1.0F : 1.0F;
  if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  return sign * (exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -24)
                               : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25));
}

// Values as a storage type keeps them: the bytes, and what they read as.
struct Stored {
  StorageType type;
  std::vector<uint8_t> bytes;
  std::vector<float> values;
};

inline Stored Store(const std::vector<float>& values, StorageType type) {
  Stored stored{type, {}, values};
  if (type == StorageType::kFloat32) {
    stored.bytes.resize(values.size() * 4);
    std::memcpy(stored.bytes.data(), values.data(), stored.bytes.size());
    return stored;
  }
  std::vector<uint16_t> halves(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (type == StorageType::kBFloat16) {
      halves[i] = BFloat16Bits(values[i]);
      stored.values[i] = FromBFloat16(halves[i]);
    } else {
      // Cut to ten bits of mantissa: exact in float16 for the magnitudes the tests use.
      uint32_t bits;
      std::memcpy(&bits, &values[i], sizeof(bits));
      bits &= 0xffffe000;
      const int exponent = static_cast<int>((bits >> 23) & 255) - 127 + 15;
      halves[i] =
          exponent <= 0
              ? 0
              : static_cast<uint16_t>(((bits >> 16) & 0x8000) | (exponent << 10) | ((bits >> 13) & 1023));
      stored.values[i] = FromFloat16(halves[i]);
    }
  }
  stored.bytes.resize(halves.size() * 2);
  std::memcpy(stored.bytes.data(), halves.data(), stored.bytes.size());
  return stored;
}

// Rows of a bfloat16 layer's inputs as the kernels take them, packed_inputs(in) apart. What they do not write
// is -1. x: [rows, in]
inline std::vector<float> PackedRows(const CpuKernels& kernels, const std::vector<float>& x, int rows,
                                     int in) {
  const int stride = kernels.packed_inputs(in);
  std::vector<float> packed(static_cast<size_t>(rows) * stride, -1.0F);
  for (int m = 0; m < rows; ++m) kernels.pack_inputs(x.data() + m * in, in, packed.data() + m * stride);
  return packed;
}
// The same of a quantized layer.
inline std::vector<float> PackedGroups(const CpuKernels& kernels, const std::vector<float>& x, int rows,
                                       const QuantizedShape& shape) {
  const int stride = kernels.packed_inputs(shape.in);
  std::vector<float> packed(static_cast<size_t>(rows) * stride, -1.0F);
  for (int m = 0; m < rows; ++m)
    kernels.pack_groups(x.data() + m * shape.in, shape, packed.data() + m * stride);
  return packed;
}

class KernelTest : public ::testing::TestWithParam<InstructionSet> {
 protected:
  void SetUp() override {
    if (GetParam().kernels == nullptr) GTEST_SKIP() << "this processor has no " << GetParam().name;
  }
  std::vector<float> Random(size_t n, float scale = 1.0F) {
    std::normal_distribution<float> normal(0.0F, scale);
    std::vector<float> values(n);
    for (float& v : values) v = normal(random_);
    return values;
  }
  // The weights [out, in] of a linear layer in the order the kernels take them.
  std::vector<uint8_t> LaidOut(const Stored& w, int out, int in) const {
    if (!kernels().reads_panels || w.type != StorageType::kBFloat16) return w.bytes;
    const PanelShape shape{out, in};
    std::vector<uint8_t> panels(shape.size() * sizeof(uint16_t), 0xff);
    PackPanels(shape, RowPointers(reinterpret_cast<const uint16_t*>(w.bytes.data()), out, in), 0,
               shape.panels(), reinterpret_cast<uint16_t*>(panels.data()));
    return panels;
  }
  const CpuKernels& kernels() const { return *GetParam().kernels; }
  std::mt19937 random_{7};
};

}  // namespace varserve::backend::cpu
