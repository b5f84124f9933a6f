// Reading and writing of the 16 bit storage types, through the kernels that do it: every bit pattern.
#include <cmath>

#include "tests/unit/backend/cpu/emulated_amx.h"
#include "tests/unit/backend/cpu/kernel_sets.h"

namespace varserve::backend::cpu {
namespace {

using StorageTest = KernelTest;

// Reads all 65536 patterns as weights of a linear layer whose inputs are one-hot.
TEST_P(StorageTest, EveryPatternReadsAsItsValue) {
  for (const StorageType type : {StorageType::kBFloat16, StorageType::kFloat16}) {
    for (int first = 0; first < 65536; first += 1024) {
      std::vector<uint16_t> w(1024);
      for (int i = 0; i < 1024; ++i) w[i] = static_cast<uint16_t>(first + i);
      Stored stored{type, std::vector<uint8_t>(2 * w.size()), {}};
      std::memcpy(stored.bytes.data(), w.data(), stored.bytes.size());
      const std::vector<uint8_t> weights = LaidOut(stored, 1024, 1);
      const float input = 1.0F;
      std::vector<float> one(16, 0.0F);
      one[0] = input;
      if (type == StorageType::kBFloat16) kernels().pack_inputs(&input, 1, one.data());
      std::vector<float> y(1024);
      LinearArgs args{.x = one.data(),
                      .w = weights.data(),
                      .y = y.data(),
                      .x_stride = 16,
                      .y_stride = 1024,
                      .rows = 1,
                      .in = 1,
                      .out = 1024,
                      .w_type = type};
      kernels().linear(args, 0, 1, 0, 1024);
      for (int i = 0; i < 1024; ++i) {
        float expected = type == StorageType::kBFloat16 ? FromBFloat16(w[i]) : FromFloat16(w[i]);
        // Instructions for bfloat16 take subnormal numbers for 0.
        if (type == StorageType::kBFloat16 && kernels().rounds_inputs &&
            kernels().name != std::string("avx512") && std::fpclassify(expected) == FP_SUBNORMAL)
          expected = 0.0F;
        if (std::isnan(expected)) {
          ASSERT_TRUE(std::isnan(y[i])) << w[i];
        } else {
          ASSERT_EQ(y[i], expected) << w[i];
        }
      }
    }
  }
}

// Writes values into the KV pool without rotation and reads the bits back.
TEST_P(StorageTest, WritesRoundToNearestEven) {
  std::vector<float> values = {
      0.0F,        -0.0F,          1.0F,           -2.5F,     65504.0F, 65519.0F,      65520.0F, 1e30F,
      -INFINITY,   INFINITY,       6.0e-8F,        3.0e-8F,   2.9e-8F,  6.1e-5F,       1e-7F,    1.00390625F,
      1.01171875F, 1.00048828125F, 1.00146484375F, 0.333333F, -1e-40F,  3.3895314e38F, 5.96e-8F, 6.097e-5F};
  const std::vector<float> random = Random(1000);
  values.insert(values.end(), random.begin(), random.end());
  while (values.size() % 8 != 0) values.push_back(0.0F);
  const int d = 8;
  const int rows = static_cast<int>(values.size()) / d;
  const std::vector<float> cos(rows * d / 2, 1.0F);
  const std::vector<float> sin(rows * d / 2, 0.0F);
  for (const StorageType type : {StorageType::kBFloat16, StorageType::kFloat16}) {
    std::vector<float> qkv;
    std::vector<int64_t> slots;
    for (int r = 0; r < rows; ++r) {
      for (int part = 0; part < 3; ++part)
        qkv.insert(qkv.end(), values.begin() + r * d, values.begin() + (r + 1) * d);
      slots.push_back(r);
    }
    std::vector<uint16_t> k(rows * d);
    std::vector<uint16_t> v(rows * d);
    RopeStoreArgs args{.qkv = qkv.data(),
                       .cos = cos.data(),
                       .sin = sin.data(),
                       .slots = slots.data(),
                       .k_pool = k.data(),
                       .v_pool = v.data(),
                       .kv_type = type,
                       .heads = 1,
                       .kv_heads = 1,
                       .head_dim = d,
                       .block_size = rows};
    kernels().rope_store(args, 0, rows);
    for (size_t i = 0; i < values.size(); ++i) {
      const float x = values[i];
      const float read = type == StorageType::kBFloat16 ? FromBFloat16(v[i]) : FromFloat16(v[i]);
      if (std::isinf(x)) {
        ASSERT_EQ(read, x);
        continue;
      }
      // No neighbour in the storage type is closer, and ties fall on the even pattern.
      for (const int step : {-1, 1}) {
        const auto other = static_cast<uint16_t>(v[i] + step);
        const float neighbour = type == StorageType::kBFloat16 ? FromBFloat16(other) : FromFloat16(other);
        if (std::isnan(neighbour) || std::isinf(neighbour) || std::isinf(read) ||
            ((other ^ v[i]) & 0x8000) != 0)
          continue;
        const double here = std::abs(static_cast<double>(read) - x);
        const double there = std::abs(static_cast<double>(neighbour) - x);
        ASSERT_TRUE(here < there || (here == there && v[i] % 2 == 0))
            << x << " -> " << read << ", not " << neighbour;
      }
      if (type == StorageType::kFloat16) {
        ASSERT_EQ(std::isinf(read), std::abs(x) >= 65520.0F) << x;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Sets, StorageTest, testing::ValuesIn(InstructionSets()), KernelName);
INSTANTIATE_TEST_SUITE_P(Emulated, StorageTest,
                         testing::Values(InstructionSet{"amx_bf16", EmulatedAmxBf16Kernels()}), KernelName);

}  // namespace
}  // namespace varserve::backend::cpu
