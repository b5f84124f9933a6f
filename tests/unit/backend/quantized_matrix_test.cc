#include "server/backend/quantized_matrix.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "server/backend/cpu/cpu_backend.h"
#include "tests/unit/backend/layer_results.h"

namespace varserve::backend {
namespace {

double RelativeError(const at::Tensor& approximate, const at::Tensor& exact) {
  return ((approximate - exact).norm() / exact.norm()).item<double>();
}

TEST(QuantizedMatrixTest, RoundsToTheNearestOfItsSteps) {
  at::manual_seed(1);
  const at::Tensor weights = at::randn({70, 256}) * at::rand({70, 1});
  // A normal distribution's error with 256 and with 16 steps, and less than that of the largest weight's
  // steps.
  EXPECT_LT(RelativeError(Quantize(weights, 8, 128).Dequantize(), weights), 0.008);
  EXPECT_LT(RelativeError(Quantize(weights, 4, 64).Dequantize(), weights), 0.1);
  EXPECT_LT(RelativeError(Quantize(weights, 4, 32).Dequantize(), weights), 0.09);
}

TEST(QuantizedMatrixTest, KeepsWhatItsStepsCanExpress) {
  for (const int bits : {4, 8}) {
    const int half = 1 << (bits - 1);
    const at::Tensor integers = at::randint(-half, half, {9, 64}).to(at::kFloat);
    integers.select(1, 0).fill_(-half);
    integers.select(1, 32).fill_(-half);
    const at::Tensor weights = integers * 0.25;
    const QuantizedMatrix m = Quantize(weights, bits, 32);
    EXPECT_TRUE(at::allclose(m.Dequantize(), weights, 1e-6, 1e-6));
    EXPECT_TRUE(at::equal(Quantize(at::zeros({3, 32}), bits, 32).Dequantize(), at::zeros({3, 32})));
  }
}

TEST(QuantizedMatrixTest, WeightsThatAreNotFiniteStayThat) {
  for (const float value :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    at::Tensor weights = at::ones({2, 64});
    weights[1][40] = value;
    const at::Tensor read = Quantize(weights, 4, 32).Dequantize();
    EXPECT_TRUE(at::allclose(read[0], weights[0]));
    EXPECT_TRUE(read[1].slice(0, 32).isnan().all().item<bool>());
  }
}

TEST(QuantizedMatrixTest, GroupsDivideTheInputs) {
  EXPECT_EQ(QuantizationGroup(4096, 8), 128);
  EXPECT_EQ(QuantizationGroup(4096, 4), 64);
  EXPECT_EQ(QuantizationGroup(576, 8), 64);
  EXPECT_EQ(QuantizationGroup(96, 4), 32);
  EXPECT_EQ(QuantizationGroup(1000, 4), 0);
}

TEST(QuantizedMatrixTest, CpuComputesWithTheDequantizedWeights) {
  at::manual_seed(2);
  const auto cpu = MakeCpuLayerOps();
  const at::Tensor x =
      at::randn({11, 192}).to(at::kBFloat16).to(at::kFloat);  // as every processor takes them
  for (const int bits : {4, 8}) {
    QuantizedMatrix m = Quantize(at::randn({101, 192}), bits, 64);
    for (const bool zeros : {false, true}) {
      if (zeros && bits == 8) continue;
      if (zeros) m.zeros = at::randint(0, 16, {101, 3}).to(at::kByte);
      const LinearWeights w = cpu->Prepare(m, {}, at::kBFloat16);
      const at::Tensor expected = at::linear(x, m.Dequantize());
      EXPECT_LT(RelativeError(cpu->Linear(x, w), expected), 1e-5) << bits << zeros;
      at::Tensor y = at::ones({11, 101});
      cpu->LinearAdd(x, w, y);
      EXPECT_LT(RelativeError(y, expected + 1), 1e-5);
      const at::Tensor ids = at::tensor({100, 0, 47, 48}, at::kLong);
      at::Tensor rows = at::empty({4, 192});
      cpu->Embedding(ids, w, rows);
      EXPECT_TRUE(at::equal(rows, m.Dequantize().index_select(0, ids)));
    }
  }
}

}  // namespace
}  // namespace varserve::backend
