#include "server/model/step_buffer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace varserve::model {
namespace {

TEST(StepBufferTest, StaysWhereItIsUntilAStepIsLarger) {
  StepBuffer buffer(at::kCPU);
  const auto first = buffer.Fill({{1, 2, 3}, {}, {4, 5}});
  ASSERT_EQ(first.size(), 3U);
  EXPECT_TRUE(at::equal(first[0], at::tensor({1, 2, 3}, at::kLong)));
  EXPECT_EQ(first[1].size(0), 0);
  EXPECT_TRUE(at::equal(first[2], at::tensor({4, 5}, at::kLong)));
  const auto second = buffer.Fill({{6}, {7, 8}});
  EXPECT_EQ(second[0].const_data_ptr<int64_t>(), first[0].const_data_ptr<int64_t>());
  EXPECT_TRUE(at::equal(second[1], at::tensor({7, 8}, at::kLong)));
  const auto larger = buffer.Fill({{1, 2, 3, 4}, {5, 6}});
  EXPECT_TRUE(at::equal(larger[0], at::tensor({1, 2, 3, 4}, at::kLong)));
  EXPECT_TRUE(at::equal(larger[1], at::tensor({5, 6}, at::kLong)));
}

}  // namespace
}  // namespace varserve::model
