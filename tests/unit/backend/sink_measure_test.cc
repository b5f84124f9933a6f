#include "server/backend/torch/sink_measure.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace varserve::backend {
namespace {

TEST(SinkMeasureTest, IsTheLargestSinkDimensionOverTheRootMeanSquare) {
  at::manual_seed(1);
  at::Tensor x = at::randn({5, 24});
  x[3][7] = -200.0;
  const at::Tensor phi = SinkMeasure(x, at::tensor({7, 11}, at::kLong), 1e-5, 0.25);
  for (int64_t i = 0; i < 5; ++i) {
    double squares = 0;
    for (int64_t c = 0; c < 24; ++c) squares += std::pow(x[i][c].item<double>(), 2);
    const double largest = std::max(std::abs(x[i][7].item<double>()), std::abs(x[i][11].item<double>()));
    EXPECT_NEAR(phi[0][i].item<double>(), largest / std::sqrt(squares / 24 + 1e-5), 1e-5);
    EXPECT_NEAR(phi[1][i].item<double>(), largest / std::sqrt(squares / 24 + 0.25), 1e-5);
  }
  EXPECT_NEAR(phi[0][3].item<double>(), std::sqrt(24.0), 0.05);  // its bound
}

}  // namespace
}  // namespace varserve::backend
