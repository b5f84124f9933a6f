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
  QueuedRequest request{.arrival = kNow, .prefix_tokens = prefix_tokens, .suffix_tokens = suffix_tokens};
  request.prefix_key[0] = prefix;
  return request;
}

QueuedRequest Of(const std::string& caller, QueuedRequest request) {
  request.caller = caller;
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
  const auto first = policy.Reserve("", kNever, kNow);
  const auto second = policy.Reserve("", kNever, kNow);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Reserve("", kNever, kNow).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Enter({Request(1)}, kNever, kNow)));
  EXPECT_EQ(policy.reserved(), 2);
  EXPECT_TRUE(policy.Enter({Request(1)}, kNever, kNow, &*first).ok());
  EXPECT_EQ(policy.reserved(), 1);
  EXPECT_TRUE(policy.Enter({Request(2)}, kNever, kNow, &*second).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Reserve("", kNever, kNow).status())) << "the same two wait";
  policy.Leave(Request(1));
  const auto third = policy.Reserve("", kNever, kNow);
  ASSERT_TRUE(third.ok());
  policy.GiveBack(*third);
  EXPECT_TRUE(policy.Enter({Request(3)}, kNever, kNow).ok());
}

TEST(QueuePolicyTest, APlaceLetsInOneOfAGroup) {
  QueuePolicy policy({.max_waiting = 2});
  ASSERT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());
  const auto place = policy.Reserve("", kNever, kNow);
  ASSERT_TRUE(place.ok());
  const auto enter = [&](std::vector<QueuedRequest> group) {
    return policy.Enter(group, kNever, kNow, &*place);
  };
  EXPECT_TRUE(absl::IsResourceExhausted(enter({Request(2), Request(2)})));
  EXPECT_EQ(policy.waiting(), 1) << "all or none";
  EXPECT_TRUE(enter({Request(2)}).ok()) << "the place is still there";
}

TEST(QueuePolicyTest, APlaceCountsAsARequestOfTheUsualSize) {
  QueuePolicy policy({.max_waiting_tokens = 2000});
  ASSERT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());  // 640 tokens
  const auto place = policy.Reserve("", kNever, kNow);
  ASSERT_TRUE(place.ok());
  ASSERT_TRUE(policy.Reserve("", kNever, kNow).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Reserve("", kNever, kNow).status()));
  EXPECT_TRUE(policy.Enter({Request(2, 5000, 0)}, kNever, kNow, &*place).ok())
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

TEST(QueuePolicyTest, RefusesAPlaceForADeadlineOutOfReach) {
  QueuePolicy policy({});
  ASSERT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());
  policy.OnRound(Prefill(320));
  EXPECT_TRUE(absl::IsDeadlineExceeded(policy.Reserve("", kNow, kNow).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(policy.Reserve("", kNow + absl::Seconds(1.9), kNow).status()));
  EXPECT_TRUE(policy.Reserve("", kNow + absl::Seconds(2.1), kNow).ok());
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
  EXPECT_EQ(policy.EstimatedWait(""), absl::Seconds(7.6));  // 600 + 4 * 40
  for (int i = 0; i < 3; ++i) policy.Leave(Request(1));
  EXPECT_EQ(policy.EstimatedWait(""), absl::Seconds(6.4));
  policy.Leave(Request(1));
  EXPECT_EQ(policy.EstimatedWait(""), absl::ZeroDuration());
}

TEST(QueuePolicyTest, SpeedCountsCachedTokensAndFadesSlowly) {
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

TEST(QueuePolicyTest, ACallerLeavesPlacesForOthers) {
  QueuePolicy policy({.max_waiting = 4});
  for (uint8_t i = 0; i < 3; ++i) ASSERT_TRUE(policy.Enter({Of("hog", Request(i))}, kNever, kNow).ok());
  const absl::Status refused = policy.Enter({Of("hog", Request(9))}, kNever, kNow);
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("caller: of \"hog\" 3 requests with 1920 prompt tokens"));
  EXPECT_TRUE(GetRetryDelay(refused).has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Reserve("hog", kNever, kNow).status()));
  EXPECT_TRUE(policy.Enter({Of("guest", Request(9))}, kNever, kNow).ok());
  const absl::Status full = policy.Enter({Of("third", Request(9))}, kNever, kNow);
  EXPECT_THAT(std::string(full.message()), HasSubstr("queue: 4 requests")) << "nobody's fault";
  policy.Leave(Of("hog", Request(0)));
  EXPECT_TRUE(policy.Enter({Of("hog", Request(9))}, kNever, kNow).ok());
}

TEST(QueuePolicyTest, ACallersShareOfTokensIsThatOfRequests) {
  QueuePolicy policy({.max_waiting = 100, .max_waiting_tokens = 6400, .max_waiting_per_caller = 50});
  for (uint8_t i = 0; i < 5; ++i) ASSERT_TRUE(policy.Enter({Of("hog", Request(i))}, kNever, kNow).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Enter({Of("hog", Request(9, 1, 0))}, kNever, kNow)));
  EXPECT_TRUE(policy.Enter({Of("guest", Request(9))}, kNever, kNow).ok());
}

TEST(QueuePolicyTest, PlacesCountForTheirCaller) {
  QueuePolicy policy({.max_waiting = 10, .max_waiting_per_caller = 2});
  const auto place = policy.Reserve("a", kNever, kNow);
  ASSERT_TRUE(place.ok());
  ASSERT_TRUE(policy.Reserve("a", kNever, kNow).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Reserve("a", kNever, kNow).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Enter({Of("a", Request(1))}, kNever, kNow)));
  EXPECT_TRUE(policy.Reserve("b", kNever, kNow).ok());
  policy.GiveBack(*place);
  EXPECT_TRUE(policy.Enter({Of("a", Request(1))}, kNever, kNow).ok());
}

TEST(QueuePolicyTest, WhoHasNothingWaitingMaySendAGroup) {
  QueuePolicy policy({.max_waiting = 10, .max_waiting_per_caller = 1});
  EXPECT_TRUE(policy.Enter({Of("a", Request(1)), Of("a", Request(1))}, kNever, kNow).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(policy.Enter({Of("a", Request(1))}, kNever, kNow)));
}

TEST(QueuePolicyTest, WithoutANameOnlyTheQueueIsTheLimit) {
  QueuePolicy policy({.max_waiting = 3, .max_waiting_per_caller = 1});
  for (uint8_t i = 0; i < 3; ++i) EXPECT_TRUE(policy.Enter({Request(i)}, kNever, kNow).ok());
}

TEST(QueuePolicyTest, EstimateCountsTheTurnsOfOthers) {
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

TEST(QueuePolicyTest, EstimateCountsAPrefixOfManyCallersOnce) {
  QueuePolicy policy({});
  policy.OnRound(Prefill(100));
  for (const char* caller : {"a", "b", "c"})
    ASSERT_TRUE(policy.Enter({Of(caller, Request(1, 500, 0))}, kNever, kNow).ok());
  EXPECT_EQ(policy.EstimatedWait("d"), absl::Seconds(5));
}

TEST(QueuePolicyTest, ACallersRetryDelayKnowsThatOthersHaveTurns) {
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

TEST(QueuePolicyTest, KnowsTheOldestOfAllThatWaitOrHaveAPlace) {
  QueuePolicy policy({});
  EXPECT_FALSE(policy.oldest_arrival().has_value());
  const auto place = policy.Reserve("a", kNever, kNow);
  ASSERT_TRUE(place.ok());
  QueuedRequest later = Request(1);
  later.arrival = kNow + absl::Seconds(2);
  ASSERT_TRUE(policy.Enter({later}, kNever, later.arrival).ok());
  EXPECT_EQ(policy.oldest_arrival(), kNow);
  policy.GiveBack(*place);
  EXPECT_EQ(policy.oldest_arrival(), later.arrival);
  policy.Leave(later);
  EXPECT_FALSE(policy.oldest_arrival().has_value());
}

TEST(QueuePolicyTest, DeadlinesInTheFarFutureAreJustFarAway) {
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
