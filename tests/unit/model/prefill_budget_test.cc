#include "server/model/prefill_budget.h"

#include <gtest/gtest.h>

namespace varserve::model {
namespace {

TEST(PrefillBudgetTest, IsWhatTheProcessorComputesInATenthAndInTwoThirdsOfASecond) {
  const PrefillBudget budget = BudgetFor(/*speed=*/1e12, /*weight_bytes=*/400'000'000);
  EXPECT_EQ(budget.busy, 160);  // of 175, in whole chunks
  EXPECT_EQ(budget.idle, 640);  // of 1250
}

TEST(PrefillBudgetTest, SlowProcessorsStillUseTheirWeightsForSeveralTokens) {
  const PrefillBudget budget = BudgetFor(/*speed=*/1e11, /*weight_bytes=*/14'000'000'000);
  EXPECT_EQ(budget.busy, 32);
  EXPECT_EQ(budget.idle, 128);
}

TEST(PrefillBudgetTest, GrowsWithTheSpeedAndEndsWithTheMemory) {
  int idle = 0;
  for (double speed = 1e11; speed < 1e14; speed *= 2) {
    const PrefillBudget budget = BudgetFor(speed, 2'000'000'000);
    EXPECT_GE(budget.idle, idle);
    EXPECT_GE(budget.idle, budget.busy);
    EXPECT_EQ(budget.idle % 32, 0);
    idle = budget.idle;
  }
  EXPECT_EQ(idle, 640);
}

}  // namespace
}  // namespace varserve::model
