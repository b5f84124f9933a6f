#include "server/engine/health_policy.h"

#include <gtest/gtest.h>

namespace varserve::engine {
namespace {

class HealthPolicyTest : public ::testing::Test {
 protected:
  // A second later.
  HealthPolicy::Verdict Look(int failed_steps, const std::optional<absl::Status>& self_test = std::nullopt) {
    now_ += absl::Seconds(1);
    Engine::Health health;
    health.failed_steps = failed_steps;
    return policy_.Look(health, self_test, now_);
  }

  absl::Time now_ = absl::UnixEpoch();
  const absl::Status failure_ = absl::InternalError("model: CUDA error");
  HealthPolicy policy_{
      {.max_failed_steps = 3, .self_test_interval = absl::Seconds(5), .max_failing = absl::Seconds(60)}};
};

TEST_F(HealthPolicyTest, AFewFailedStepsMeanNothing) {
  for (int i = 0; i < 100; ++i) {
    const auto verdict = Look(i % 3);
    EXPECT_TRUE(verdict.failing.ok());
    EXPECT_FALSE(verdict.ask);
    EXPECT_FALSE(verdict.end);
  }
}

// A caller whose pictures make every step fail takes nobody else's server away.
TEST_F(HealthPolicyTest, ItTakesRequestsWhileItsOwnQuestionIsAnswered) {
  int asked = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto verdict = Look(3 + i, absl::OkStatus());
    EXPECT_TRUE(verdict.failing.ok());
    EXPECT_FALSE(verdict.end);
    asked += verdict.ask;
  }
  EXPECT_EQ(asked, 200) << "once in five seconds";
}

TEST_F(HealthPolicyTest, ItTakesNoneOnceItsOwnQuestionFailsUntilAStepSucceeds) {
  EXPECT_TRUE(Look(3).ask);
  EXPECT_TRUE(Look(3).failing.ok()) << "not known yet";
  EXPECT_EQ(Look(4, failure_).failing, failure_);
  EXPECT_FALSE(Look(4).ask) << "not yet again";
  EXPECT_EQ(Look(4).failing, failure_);
  EXPECT_TRUE(Look(4).ask) << "nobody else asks now";
  const auto well_again = Look(0, absl::OkStatus());
  EXPECT_TRUE(well_again.failing.ok());
  EXPECT_FALSE(well_again.ask);
  EXPECT_FALSE(Look(2).ask);
}

TEST_F(HealthPolicyTest, TheProcessEndsWhenItFailsForLong) {
  EXPECT_TRUE(Look(3).ask);
  EXPECT_FALSE(Look(4, failure_).end);
  for (int i = 0; i < 59; ++i) EXPECT_FALSE(Look(5 + i, failure_).end) << i;
  const auto verdict = Look(100);
  EXPECT_TRUE(verdict.end);
  EXPECT_EQ(verdict.failing, failure_);
}

TEST_F(HealthPolicyTest, TheTimeBeginsAnewWithEveryRecovery) {
  (void)Look(3);
  (void)Look(4, failure_);
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(Look(5).end);
  (void)Look(0);
  (void)Look(3);
  (void)Look(4, failure_);
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(Look(5).end);
}

TEST_F(HealthPolicyTest, TheProcessEndsAtOnceWhenTheEngineIsBroken) {
  Engine::Health health;
  health.fatal = failure_;
  const auto verdict = policy_.Look(health, std::nullopt, now_);
  EXPECT_TRUE(verdict.end);
  EXPECT_EQ(verdict.failing, failure_);
}

}  // namespace
}  // namespace varserve::engine
