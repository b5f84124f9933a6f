#include "server/model/memory_plan.h"

#include <gmock/gmock.h>

namespace varserve::model {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMiB = 1 << 20;

TEST(MemoryPlanTest, KvCacheGetsWhatIsLeftButNoMoreThanIsOfUse) {
  MemoryNeeds needs{.budget = 100 * kMiB,
                    .weights = 40 * kMiB,
                    .vision_tower = 5 * kMiB,
                    .step = 15 * kMiB,
                    .block_bytes = kMiB,
                    .most_blocks = 1000};
  EXPECT_EQ(PlanMemory(needs)->num_blocks, 40);
  needs.most_blocks = 7;
  EXPECT_EQ(PlanMemory(needs)->num_blocks, 7);
  EXPECT_THAT(PlanMemory(needs)->ToTable(), HasSubstr("7 blocks of 16 tokens: 112 tokens"));
}

TEST(MemoryPlanTest, SaysWhatDoesNotFit) {
  const MemoryNeeds needs{.budget = 50 * kMiB,
                          .weights = 40 * kMiB,
                          .vision_tower = 5 * kMiB,
                          .step = 15 * kMiB,
                          .block_bytes = kMiB,
                          .most_blocks = 1000};
  const absl::Status status = PlanMemory(needs).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(status.message(), HasSubstr("50 MiB are not enough: weights 40, vision tower 5, steps 15"));
}

}  // namespace
}  // namespace varserve::model
