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
                    .block = kMiB,
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
                          .block = kMiB,
                          .most_blocks = 1000};
  const absl::Status status = PlanMemory(needs).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(status.message(),
              HasSubstr("50 MiB are not enough: weights 40, vision tower 5, steps 15, images"));
}

// 60 MiB are left for the model's blocks and what requests take.
MemoryNeeds WithRequests() {
  return {.budget = 100 * kMiB,
          .weights = 20 * kMiB,
          .vision_tower = 5 * kMiB,
          .step = 15 * kMiB,
          .block = kMiB,
          .most_blocks = 1000,
          .images = 10 * kMiB,
          .requests = 15 * kMiB,
          .replies = 5 * kMiB,
          .block_evidence = kMiB / 2};
}

TEST(MemoryPlanTest, RequestsShareTheBudgetOfAModelOnTheHost) {
  const MemoryPlan plan = *PlanMemory(WithRequests());
  EXPECT_EQ(plan.num_blocks, 20);
  EXPECT_EQ(plan.evidence(), 10 * kMiB);
  EXPECT_THAT(plan.ToTable(), HasSubstr("total                100 MiB\n"));
  MemoryNeeds needs = WithRequests();
  needs.images += 30 * kMiB;
  EXPECT_THAT(PlanMemory(needs).status().message(),
              HasSubstr("images 40 (--image_memory, --image_cache), requests 15 (--receive_memory, "
                        "--worker_threads), replies 5 "
                        "(--max_running, --max_map_bytes) and no room"));
}

TEST(MemoryPlanTest, RequestsTakeTheHostsMemoryBesideADevice) {
  MemoryNeeds needs = WithRequests();
  needs.host_budget = 60 * kMiB;
  EXPECT_EQ(PlanMemory(needs)->num_blocks, 60);
  EXPECT_THAT(PlanMemory(needs)->ToTable(), HasSubstr("of the host's 60 MiB"));
  EXPECT_THAT(PlanMemory(needs)->ToTable(),
              HasSubstr("total                100 MiB  of the device, 60 MiB of the host\n"));
  needs.host_budget = 60 * kMiB - 1;
  const absl::Status status = PlanMemory(needs).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(status.message(), HasSubstr("host memory: 60 MiB are not enough: images 10"));
  EXPECT_THAT(status.message(), HasSubstr("and evidence 30;"));
}

}  // namespace
}  // namespace varserve::model
