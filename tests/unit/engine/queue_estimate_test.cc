// How long a request will wait: deadlines out of reach, and when to come back.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/retry_delay.h"
#include "tests/unit/engine/queued_requests.h"

namespace varserve::engine {
namespace {

TEST(QueueEstimateTest, RefusesADeadlineOutOfReachOnceASpeedWasMeasured) {
  QueuePolicy policy({});
  ASSERT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());  // 640 tokens
  EXPECT_FALSE(policy.EstimatedWait("").has_value());
  EXPECT_TRUE(policy.Enter({Request(1, 600, 0)}, kNow + absl::Nanoseconds(1), kNow).ok())
      << "nothing was measured";
  policy.Leave(Request(1, 600, 0));
  policy.OnRound(Prefill(320));
  EXPECT_EQ(policy.EstimatedWait(""), absl::Seconds(2));
  EXPECT_TRUE(absl::IsDeadlineExceeded(policy.Enter({Request(2)}, kNow + absl::Seconds(1.9), kNow)));
  EXPECT_TRUE(policy.Enter({Request(2)}, kNow + absl::Seconds(2.1), kNow).ok());
  EXPECT_EQ(policy.EstimatedWait(""), absl::Seconds(4));
}

TEST(QueueEstimateTest, RefusesAPlaceForADeadlineOutOfReach) {
  QueuePolicy policy({});
  ASSERT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());
  policy.OnRound(Prefill(320));
  EXPECT_TRUE(absl::IsDeadlineExceeded(policy.Reserve("", kNow, kNow).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(policy.Reserve("", kNow + absl::Seconds(1.9), kNow).status()));
  EXPECT_TRUE(policy.Reserve("", kNow + absl::Seconds(2.1), kNow).ok());
}

TEST(QueueEstimateTest, EmptyQueueRefusesNoDeadline) {
  QueuePolicy policy({});
  policy.OnRound(Prefill(1));
  EXPECT_TRUE(policy.Enter({Request(1)}, kNow + absl::Nanoseconds(1), kNow).ok());
}

TEST(QueueEstimateTest, EstimateCountsAPrefixOnce) {
  QueuePolicy policy({});
  policy.OnRound(Prefill(100));
  ASSERT_TRUE(policy.Enter({Request(1), Request(1), Request(1)}, kNever, kNow).ok());
  ASSERT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());
  EXPECT_EQ(policy.EstimatedWait(""), absl::Seconds(7.6));  // 600 + 4 * 40
  for (int i = 0; i < 3; ++i) policy.Leave(Request(1));
  EXPECT_EQ(policy.EstimatedWait(""), absl::Seconds(6.4));
  policy.Leave(Request(1));
  EXPECT_EQ(policy.EstimatedWait(""), absl::ZeroDuration());
}

TEST(QueueEstimateTest, SpeedCountsCachedTokensAndFadesSlowly) {
  QueuePolicy policy({});
  ASSERT_TRUE(policy.Enter({Request(1, 1000, 0)}, kNever, kNow).ok());
  policy.OnRound(
      {.admitted = 1, .cached_tokens = 900, .prefill_tokens = 100, .step_duration = absl::Seconds(1)});
  EXPECT_EQ(policy.EstimatedWait(""), absl::Seconds(1));
  policy.OnRound(
      {.admitted = 0, .cached_tokens = 0, .prefill_tokens = 0, .step_duration = absl::Seconds(100)});
  EXPECT_EQ(policy.EstimatedWait(""), absl::Seconds(1)) << "a step without prefill says nothing";
  for (int i = 0; i < 300; ++i) policy.OnRound(Prefill(100));
  EXPECT_NEAR(absl::ToDoubleSeconds(*policy.EstimatedWait("")), 10.0, 0.1) << "the last half minute counts";
}

TEST(QueueEstimateTest, RetryDelayComesFromTheRateOfAdmission) {
  QueuePolicy policy({.max_waiting = 4, .max_waiting_tokens = 2560});
  for (uint8_t i = 0; i < 4; ++i) ASSERT_TRUE(policy.Enter({Request(i)}, kNever, kNow).ok());
  const auto delay = [&policy](std::vector<QueuedRequest> group) {
    return GetRetryDelay(policy.Enter(group, kNever, kNow));
  };
  EXPECT_EQ(delay({Request(9)}), kDefaultRetryDelay) << "nothing was measured";
  // Two admissions in each 4 s of a step while requests wait: 2 s each.
  for (int i = 0; i < 2; ++i) {
    policy.OnRound(
        {.admitted = 0, .cached_tokens = 0, .prefill_tokens = 0, .step_duration = absl::Seconds(4)});
    policy.OnRound(
        {.admitted = 2, .cached_tokens = 0, .prefill_tokens = 0, .step_duration = absl::ZeroDuration()});
  }
  const auto seconds = [&delay](std::vector<QueuedRequest> group) {
    return absl::ToDoubleSeconds(*delay(group));
  };
  EXPECT_NEAR(seconds({Request(9)}), 2.0, 0.2);
  EXPECT_NEAR(seconds({Request(9), Request(9)}), 4.0, 0.4);
  EXPECT_NEAR(seconds({Request(9, 1920, 0)}), 6.0, 0.6) << "the tokens of three waiting requests";
  EXPECT_EQ(delay({Request(9, 1'000'000, 0)}), absl::Minutes(1)) << "bounded";
}

TEST(QueueEstimateTest, EstimateCountsTheTurnsOfOthers) {
  QueuePolicy policy({});
  policy.OnRound(Prefill(100));
  for (uint8_t i = 0; i < 10; ++i)
    ASSERT_TRUE(policy.Enter({Of("hog", Request(i, 100, 0))}, kNever, kNow).ok());
  EXPECT_EQ(policy.EstimatedWait("hog"), absl::Seconds(10));
  EXPECT_EQ(policy.EstimatedWait("guest"), absl::Seconds(1)) << "one of ten goes first";
  ASSERT_TRUE(policy.Enter({Of("guest", Request(20, 300, 0))}, kNever, kNow).ok());
  EXPECT_EQ(policy.EstimatedWait("guest"), absl::Seconds(5)) << "its own, and two of ten";
  EXPECT_EQ(policy.EstimatedWait("third"), absl::Seconds(4));
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(policy.Enter({Of("hog", Request(30))}, kNow + absl::Seconds(9), kNow)));
  EXPECT_TRUE(policy.Enter({Of("third", Request(30))}, kNow + absl::Seconds(9), kNow).ok());
}

TEST(QueueEstimateTest, EstimateCountsAPrefixOfManyCallersOnce) {
  QueuePolicy policy({});
  policy.OnRound(Prefill(100));
  for (const char* caller : {"a", "b", "c"})
    ASSERT_TRUE(policy.Enter({Of(caller, Request(1, 500, 0))}, kNever, kNow).ok());
  EXPECT_EQ(policy.EstimatedWait("d"), absl::Seconds(5));
}

TEST(QueueEstimateTest, ACallersRetryDelayKnowsThatOthersHaveTurns) {
  QueuePolicy policy({.max_waiting = 100, .max_waiting_per_caller = 2});
  for (const char* caller : {"a", "b"}) {
    for (uint8_t i = 0; i < 2; ++i) ASSERT_TRUE(policy.Enter({Of(caller, Request(i))}, kNever, kNow).ok());
  }
  // One admission in each second of a step while requests wait.
  policy.OnRound({.step_duration = absl::Seconds(1)});
  for (int i = 0; i < 5; ++i) policy.OnRound({.admitted = 1, .step_duration = absl::Seconds(1)});
  const auto delay = GetRetryDelay(policy.Enter({Of("a", Request(9))}, kNever, kNow));
  ASSERT_TRUE(delay.has_value());
  EXPECT_NEAR(absl::ToDoubleSeconds(*delay), 2.0, 0.2);
}

TEST(QueueEstimateTest, DeadlinesInTheFarFutureAreJustFarAway) {
  const absl::Time year_3000 = absl::FromCivil(absl::CivilYear(3000), absl::UTCTimeZone());
  QueuePolicy policy({});
  ASSERT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());
  policy.OnRound(Prefill(1));
  for (const absl::Time deadline : {year_3000, absl::InfiniteFuture()}) {
    EXPECT_TRUE(policy.Reserve("", deadline, kNow).ok());
    EXPECT_TRUE(policy.Enter({Request(2)}, deadline, kNow).ok());
  }
}

TEST(RetryDelayTest, RidesOnTheStatus) {
  const absl::Status status =
      WithRetryDelay(absl::ResourceExhaustedError("queue: full"), absl::Milliseconds(1500));
  EXPECT_EQ(GetRetryDelay(status), absl::Milliseconds(1500));
  EXPECT_EQ(status.message(), "queue: full");
  EXPECT_EQ(GetRetryDelay(absl::ResourceExhaustedError("never fits")), std::nullopt);
}

}  // namespace
}  // namespace varserve::engine
