#include "server/engine/queue_policy.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/retry_delay.h"

namespace varserve::engine {
namespace {

using ::testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'000'000);
const absl::Time kNever = absl::InfiniteFuture();

QueuedRequest Request(uint8_t prefix, int prefix_tokens = 600, int suffix_tokens = 40) {
  QueuedRequest request{.prefix_tokens = prefix_tokens, .suffix_tokens = suffix_tokens};
  request.prefix_key[0] = prefix;
  return request;
}

// Measures `tokens_per_second` in a second of prefill.
RoundStats Prefill(int64_t tokens_per_second) {
  return {.admitted = 0,
          .cached_tokens = 0,
          .prefill_tokens = tokens_per_second,
          .step_duration = absl::Seconds(1)};
}

TEST(QueuePolicyTest, BoundsWaitingRequests) {
  QueuePolicy policy({.max_waiting = 2});
  EXPECT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());
  EXPECT_TRUE(policy.Enter({Request(2)}, kNever, kNow).ok());
  const absl::Status refused = policy.Enter({Request(3)}, kNever, kNow);
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("2 requests with 1280 prompt tokens"));
  EXPECT_EQ(policy.waiting(), 2) << "a refused request does not count";
  policy.Leave(Request(1));
  EXPECT_TRUE(policy.Enter({Request(3)}, kNever, kNow).ok());
}

TEST(QueuePolicyTest, BoundsWaitingTokens) {
  QueuePolicy policy({.max_waiting_tokens = 1300});
  EXPECT_TRUE(policy.Enter({Request(1), Request(1)}, kNever, kNow).ok());
  EXPECT_EQ(policy.waiting_tokens(), 1280);
  EXPECT_TRUE(policy.Enter({Request(2, 10, 10)}, kNever, kNow).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Enter({Request(2, 1, 0)}, kNever, kNow)));
}

TEST(QueuePolicyTest, GroupIsTakenAsAWhole) {
  QueuePolicy policy({.max_waiting = 2});
  EXPECT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Enter({Request(1), Request(1)}, kNever, kNow)));
  EXPECT_EQ(policy.waiting(), 1);
}

TEST(QueuePolicyTest, AnythingMayWaitWhereNothingDoes) {
  QueuePolicy policy({.max_waiting = 0, .max_waiting_tokens = 0});
  EXPECT_TRUE(policy.Enter({Request(1), Request(1)}, kNever, kNow).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Enter({Request(1)}, kNever, kNow)));
  policy.Leave(Request(1));
  policy.Leave(Request(1));
  EXPECT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());
}

TEST(QueuePolicyTest, PlacesCountAsWaitingAndAreKept) {
  QueuePolicy policy({.max_waiting = 2});
  ASSERT_TRUE(policy.Reserve(kNever, kNow).ok());
  ASSERT_TRUE(policy.Reserve(kNever, kNow).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Reserve(kNever, kNow)));
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Enter({Request(1)}, kNever, kNow)));
  EXPECT_TRUE(policy.Enter({Request(1)}, kNever, kNow, QueuePolicy::Place::kReserved).ok());
  EXPECT_TRUE(policy.Enter({Request(2)}, kNever, kNow, QueuePolicy::Place::kReserved).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Reserve(kNever, kNow))) << "the same two wait";
  policy.Leave(Request(1));
  ASSERT_TRUE(policy.Reserve(kNever, kNow).ok());
  policy.GiveBack();
  EXPECT_TRUE(policy.Enter({Request(3)}, kNever, kNow).ok());
}

TEST(QueuePolicyTest, APlaceLetsInOneOfAGroup) {
  QueuePolicy policy({.max_waiting = 2});
  ASSERT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());
  ASSERT_TRUE(policy.Reserve(kNever, kNow).ok());
  const auto enter = [&policy](std::vector<QueuedRequest> group) {
    return policy.Enter(group, kNever, kNow, QueuePolicy::Place::kReserved);
  };
  EXPECT_TRUE(absl::IsResourceExhausted(enter({Request(2), Request(2)})));
  EXPECT_EQ(policy.waiting(), 1) << "all or none";
  EXPECT_TRUE(enter({Request(2)}).ok()) << "the place is still there";
}

TEST(QueuePolicyTest, APlaceCountsAsARequestOfTheUsualSize) {
  QueuePolicy policy({.max_waiting_tokens = 2000});
  ASSERT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());  // 640 tokens
  ASSERT_TRUE(policy.Reserve(kNever, kNow).ok());
  ASSERT_TRUE(policy.Reserve(kNever, kNow).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Reserve(kNever, kNow)));
  EXPECT_TRUE(policy.Enter({Request(2, 5000, 0)}, kNever, kNow, QueuePolicy::Place::kReserved).ok())
      << "one that turns out longer keeps its place";
}

TEST(QueuePolicyTest, RoomInTheBatchIsNoWaiting) {
  QueuePolicy policy({.max_waiting = 1});
  policy.SetRoom(2);
  for (uint8_t i = 0; i < 3; ++i) EXPECT_TRUE(policy.Enter({Request(i)}, kNever, kNow).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Enter({Request(4)}, kNever, kNow)));
  policy.SetRoom(0);
  policy.Leave(Request(0));
  policy.Leave(Request(1));
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Enter({Request(4)}, kNever, kNow)));
}

TEST(QueuePolicyTest, RefusesADeadlineOutOfReachOnceASpeedWasMeasured) {
  QueuePolicy policy({});
  ASSERT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());  // 640 tokens
  EXPECT_FALSE(policy.EstimatedWait().has_value());
  EXPECT_TRUE(policy.Enter({Request(1, 600, 0)}, kNow + absl::Nanoseconds(1), kNow).ok())
      << "nothing was measured";
  policy.Leave(Request(1, 600, 0));
  policy.OnRound(Prefill(320));
  EXPECT_EQ(policy.EstimatedWait(), absl::Seconds(2));
  EXPECT_TRUE(absl::IsDeadlineExceeded(policy.Enter({Request(2)}, kNow + absl::Seconds(1.9), kNow)));
  EXPECT_TRUE(policy.Enter({Request(2)}, kNow + absl::Seconds(2.1), kNow).ok());
  EXPECT_EQ(policy.EstimatedWait(), absl::Seconds(4));
}

TEST(QueuePolicyTest, RefusesAPlaceForADeadlineOutOfReach) {
  QueuePolicy policy({});
  ASSERT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());
  policy.OnRound(Prefill(320));
  EXPECT_TRUE(absl::IsDeadlineExceeded(policy.Reserve(kNow, kNow)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(policy.Reserve(kNow + absl::Seconds(1.9), kNow)));
  EXPECT_TRUE(policy.Reserve(kNow + absl::Seconds(2.1), kNow).ok());
}

TEST(QueuePolicyTest, EmptyQueueRefusesNoDeadline) {
  QueuePolicy policy({});
  policy.OnRound(Prefill(1));
  EXPECT_TRUE(policy.Enter({Request(1)}, kNow + absl::Nanoseconds(1), kNow).ok());
}

TEST(QueuePolicyTest, EstimateCountsAPrefixOnce) {
  QueuePolicy policy({});
  policy.OnRound(Prefill(100));
  ASSERT_TRUE(policy.Enter({Request(1), Request(1), Request(1)}, kNever, kNow).ok());
  ASSERT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());
  EXPECT_EQ(policy.EstimatedWait(), absl::Seconds(7.6));  // 600 + 4 * 40
  for (int i = 0; i < 3; ++i) policy.Leave(Request(1));
  EXPECT_EQ(policy.EstimatedWait(), absl::Seconds(6.4));
  policy.Leave(Request(1));
  EXPECT_EQ(policy.EstimatedWait(), absl::ZeroDuration());
}

TEST(QueuePolicyTest, SpeedCountsCachedTokensAndFadesSlowly) {
  QueuePolicy policy({});
  ASSERT_TRUE(policy.Enter({Request(1, 1000, 0)}, kNever, kNow).ok());
  policy.OnRound(
      {.admitted = 1, .cached_tokens = 900, .prefill_tokens = 100, .step_duration = absl::Seconds(1)});
  EXPECT_EQ(policy.EstimatedWait(), absl::Seconds(1));
  policy.OnRound(
      {.admitted = 0, .cached_tokens = 0, .prefill_tokens = 0, .step_duration = absl::Seconds(100)});
  EXPECT_EQ(policy.EstimatedWait(), absl::Seconds(1)) << "a step without prefill says nothing";
  for (int i = 0; i < 300; ++i) policy.OnRound(Prefill(100));
  EXPECT_NEAR(absl::ToDoubleSeconds(*policy.EstimatedWait()), 10.0, 0.1) << "the last half minute counts";
}

TEST(QueuePolicyTest, RetryDelayComesFromTheRateOfAdmission) {
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

TEST(RetryDelayTest, RidesOnTheStatus) {
  const absl::Status status =
      WithRetryDelay(absl::ResourceExhaustedError("queue: full"), absl::Milliseconds(1500));
  EXPECT_EQ(GetRetryDelay(status), absl::Milliseconds(1500));
  EXPECT_EQ(status.message(), "queue: full");
  EXPECT_EQ(GetRetryDelay(absl::ResourceExhaustedError("never fits")), std::nullopt);
}

}  // namespace
}  // namespace varserve::engine
