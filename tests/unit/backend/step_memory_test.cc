#include "server/backend/step_memory.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace varserve::backend {
namespace {

struct Step {
  at::Tensor ids;
  at::Tensor flags;
  at::Tensor values;
  std::optional<int64_t> layout;
};

// Fills `step`, whose address must not change until then.
void Make(StepMemory& memory, const std::vector<int64_t>& ids, int64_t rows, Step& step) {
  memory.Begin();
  const auto count = static_cast<int64_t>(ids.size());
  memory.Upload(absl::MakeConstSpan(ids), at::kLong, {count}, step.ids);
  const std::vector<int8_t> flags(ids.size(), 1);
  memory.Upload(absl::MakeConstSpan(flags), at::kChar, {count, 1}, step.flags);
  memory.Send();
  EXPECT_EQ(memory.Take({0, 3}, at::kFloat).numel(), 0);
  memory.Take({rows, 3}, at::kFloat);
  step.values = memory.Take({rows, 5}, at::kHalf);
  step.layout = memory.layout();
}

Step Made(StepMemory& memory, const std::vector<int64_t>& ids, int64_t rows) {
  Step step;
  Make(memory, ids, rows, step);
  return step;
}

TEST(StepMemoryTest, TablesAreWhatWasUploaded) {
  StepMemory memory(at::kCPU, /*fixed=*/false);
  for (const std::vector<int64_t>& ids : {std::vector<int64_t>{1, 2, 3}, {}, std::vector<int64_t>(1000, 7)}) {
    const Step step = Made(memory, ids, 4);
    EXPECT_TRUE(at::equal(step.ids, at::tensor(ids, at::kLong)));
    EXPECT_EQ(step.flags.sizes(), at::IntArrayRef({static_cast<int64_t>(ids.size()), 1}));
    EXPECT_EQ(step.values.sizes(), at::IntArrayRef({4, 5}));
    EXPECT_EQ(step.values.scalar_type(), at::kHalf);
    EXPECT_FALSE(step.layout.has_value());
  }
}

TEST(StepMemoryTest, FixedPlacesRepeat) {
  StepMemory memory(at::kCPU, /*fixed=*/true);
  EXPECT_FALSE(Made(memory, {1, 2}, 8).layout.has_value()) << "there was no room yet";
  const Step first = Made(memory, {1, 2}, 8);
  ASSERT_TRUE(first.layout.has_value());
  EXPECT_EQ(Made(memory, {3}, 2).layout, first.layout) << "smaller steps fit in";
  const Step second = Made(memory, {5, 6}, 8);
  EXPECT_EQ(second.layout, first.layout);
  EXPECT_EQ(second.ids.data_ptr(), first.ids.data_ptr());
  EXPECT_EQ(second.values.data_ptr(), first.values.data_ptr());
  EXPECT_TRUE(at::equal(second.ids, at::tensor({5, 6}, at::kLong)));
}

TEST(StepMemoryTest, LargerStepsChangeTheLayout) {
  StepMemory memory(at::kCPU, /*fixed=*/true);
  Made(memory, {1}, 8);
  const Step small = Made(memory, {1}, 8);
  EXPECT_FALSE(Made(memory, {1}, 100).layout.has_value()) << "the values have no room";
  const Step large = Made(memory, {1}, 100);
  ASSERT_TRUE(large.layout.has_value());
  EXPECT_NE(large.layout, small.layout);
  Made(memory, {1}, 110);
  const Step larger = Made(memory, {1}, 110);
  EXPECT_NE(larger.layout, large.layout);
  EXPECT_EQ(Made(memory, {1}, 140).layout, larger.layout) << "it grows by more than it must";
  const Step more_ids = Made(memory, std::vector<int64_t>(1000, 1), 100);
  EXPECT_NE(more_ids.layout, larger.layout) << "the tables have moved";
}

}  // namespace
}  // namespace varserve::backend
