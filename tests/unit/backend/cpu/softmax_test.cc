#include <cmath>
#include <limits>

#include "tests/unit/backend/cpu/kernel_sets.h"

namespace varserve::backend::cpu {
namespace {

using SoftmaxTest = KernelTest;

TEST_P(SoftmaxTest, WeightsAreExponentialsToTheLastBits) {
  for (const float temperature : {0.01F, 0.7F, 1.0F, 5.0F}) {
    for (const int count : {1, 3, 4, 7, 8, 9, 64, 1001}) {
      std::vector<float> logits = Random(count, 8.0F);
      float largest = logits[0];
      for (const float x : logits) largest = std::max(largest, x);
      std::vector<double> weights(count + 1, -1.0);
      const double sum =
          kernels().softmax_weights(logits.data(), count, largest, temperature, weights.data());
      double expected_sum = 0.0;
      for (int i = 0; i < count; ++i) {
        const double x = (static_cast<double>(logits[i]) - largest) / static_cast<double>(temperature);
        const double expected = std::exp(x);
        expected_sum += expected;
        ASSERT_NEAR(weights[i], expected, 2 * std::numeric_limits<double>::epsilon() * expected + 1e-307)
            << x;
      }
      EXPECT_EQ(weights[count], -1.0);
      EXPECT_NEAR(sum, expected_sum, 1e-13 * expected_sum);
      EXPECT_EQ(kernels().softmax_weights(logits.data(), count, largest, temperature, nullptr), sum);
    }
  }
}

TEST_P(SoftmaxTest, WhatIsOutOfRangeWeighsNothing) {
  const std::vector<float> logits = {0.0F,    -std::numeric_limits<float>::infinity(), -709.0F, -1e30F,
                                     -707.0F, std::numeric_limits<float>::lowest()};
  std::vector<double> weights(logits.size());
  kernels().softmax_weights(logits.data(), static_cast<int>(logits.size()), 0.0F, 1.0F, weights.data());
  EXPECT_EQ(weights[0], 1.0);
  for (const int i : {1, 2, 3, 5}) EXPECT_EQ(weights[i], 0.0) << i;
  EXPECT_GT(weights[4], 0.0);
}

INSTANTIATE_TEST_SUITE_P(Sets, SoftmaxTest, testing::ValuesIn(InstructionSets()), KernelName);

}  // namespace
}  // namespace varserve::backend::cpu
