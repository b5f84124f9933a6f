// How many requests and tokens may wait, of all callers and of one.
#include "server/engine/queue_policy.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/retry_delay.h"
#include "tests/unit/engine/queued_requests.h"

namespace varserve::engine {
namespace {

using ::testing::HasSubstr;

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

TEST(QueuePolicyTest, TokensMayBeWithoutLimit) {
  QueuePolicy policy({.max_waiting = 100, .max_waiting_tokens = std::numeric_limits<int64_t>::max()});
  EXPECT_TRUE(policy.Enter({Request(1)}, kNever, kNow).ok());
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

}  // namespace
}  // namespace varserve::engine
