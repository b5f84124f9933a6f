#include "server/model/staged_copy.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/testing/test_device.h"

namespace varserve::model {
namespace {

TEST(StagedCopyTest, CopiesInPiecesAndConverts) {
  const at::Device device(testing::TestDevice());
  StagedCopy copy(device, /*buffer_bytes=*/100);
  for (const at::ScalarType from : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble}) {
    for (const at::ScalarType to : {at::kFloat, at::kBFloat16}) {
      for (const int64_t rows : {0, 1, 5, 64}) {
        const at::Tensor source = at::randn({rows, 7}).to(from);
        at::Tensor target = at::zeros({rows + 2, 7}, at::TensorOptions().dtype(to).device(device));
        copy.Copy(source, target.narrow(0, 1, rows));
        EXPECT_TRUE(at::equal(target.narrow(0, 1, rows).cpu(), source.to(to))) << rows;
        EXPECT_EQ(target[0].abs().sum().item<float>(), 0);
        EXPECT_EQ(target[rows + 1].abs().sum().item<float>(), 0);
      }
    }
  }
}

}  // namespace
}  // namespace varserve::model
