#include "server/transport/receive_memory.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/retry_delay.h"

namespace varserve::transport {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kMega = 1 << 20;

class ReceiveMemoryTest : public ::testing::Test {
 protected:
  ReceiveMemoryTest() {
    memory_.MeasureWith([this](const std::string& peer) -> std::optional<int64_t> {
      if (!received_.contains(peer)) return std::nullopt;
      return received_.at(peer);
    });
  }

  std::optional<ReceiveMemory::Verdict> Begin(ReceiveMemory::MessageId id, const std::string& peer,
                                              const std::string& caller = "caller") {
    return memory_.Begin(id, peer, caller, 64 * kMega, now_);
  }
  std::vector<ReceiveMemory::MessageId> GivenUp() {
    std::vector<ReceiveMemory::MessageId> ids;
    for (const auto& verdict : memory_.Look(now_)) {
      ids.push_back(verdict.id);
      last_ = verdict.status;
    }
    return ids;
  }

  absl::Time now_ = absl::UnixEpoch();
  std::map<std::string, int64_t> received_;
  ReceiveMemory memory_{{.bytes = 256 * kMega, .timeout = absl::Seconds(60)}};
  absl::Status last_;
};

TEST_F(ReceiveMemoryTest, LeavesAloneWhatArrivesAsItMay) {
  received_ = {{"a", 1000}, {"b", 5 * kMega}};
  Begin(1, "a");
  Begin(2, "b");
  received_["a"] += 64 * kMega;
  EXPECT_THAT(GivenUp(), IsEmpty());
  EXPECT_TRUE(memory_.Complete(1, 64 * kMega).ok());
  EXPECT_TRUE(memory_.Complete(2, 0).ok());
  EXPECT_EQ(memory_.arriving(), 0);
}

TEST_F(ReceiveMemoryTest, GivesUpWhatDoesNotArriveInTime) {
  Begin(1, "a");
  now_ += absl::Seconds(59);
  Begin(2, "a");
  EXPECT_THAT(GivenUp(), IsEmpty());
  now_ += absl::Seconds(1);
  EXPECT_THAT(GivenUp(), ElementsAre(1));
  EXPECT_TRUE(absl::IsCancelled(last_)) << last_;
  EXPECT_THAT(GivenUp(), IsEmpty()) << "once";
}

TEST_F(ReceiveMemoryTest, GivesUpWhatGrowsTooLarge) {
  received_ = {{"a", 0}};
  Begin(1, "a");
  received_["a"] = 70 * kMega;
  EXPECT_THAT(GivenUp(), ElementsAre(1));
  EXPECT_TRUE(absl::IsResourceExhausted(last_)) << last_;
  EXPECT_FALSE(engine::GetRetryDelay(last_).has_value()) << "to try again does not help";
}

TEST_F(ReceiveMemoryTest, SaysSoOfWhatArrivedTooLarge) {
  Begin(1, "a");
  const absl::Status status = memory_.Complete(1, 64 * kMega + 1);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("message"));
}

TEST_F(ReceiveMemoryTest, TheLargestGoUntilThereIsRoom) {
  received_ = {{"a", 0}, {"b", 0}, {"c", 0}, {"d", 0}, {"e", 0}};
  for (const char* peer : {"a", "b", "c", "d", "e"}) Begin(*peer - 'a' + 1, peer);
  received_ = {{"a", 60 * kMega}, {"b", 62 * kMega}, {"c", 61 * kMega}, {"d", 63 * kMega}, {"e", 11 * kMega}};
  EXPECT_THAT(GivenUp(), ElementsAre(4));
  EXPECT_TRUE(engine::GetRetryDelay(last_).has_value());
  EXPECT_THAT(GivenUp(), IsEmpty()) << "its memory counts no longer";
  received_["e"] = 12 * kMega;
  received_["a"] = 64 * kMega;
  EXPECT_THAT(GivenUp(), IsEmpty());
}

TEST_F(ReceiveMemoryTest, WhatWaitsToBeParsedCountsToo) {
  received_ = {{"a", 0}, {"b", 0}};
  for (int id = 1; id <= 4; ++id) {
    Begin(id, "a");
    EXPECT_TRUE(memory_.Complete(id, 60 * kMega).ok());
  }
  Begin(5, "a");
  const absl::Status full = memory_.Complete(5, 17 * kMega);
  EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  EXPECT_TRUE(engine::GetRetryDelay(full).has_value());
  Begin(6, "b");
  received_["b"] = 17 * kMega;
  EXPECT_THAT(GivenUp(), ElementsAre(6));
  memory_.Release(6);
  memory_.Release(1);
  Begin(7, "b");
  received_["b"] += 60 * kMega;
  EXPECT_THAT(GivenUp(), IsEmpty());
}

TEST_F(ReceiveMemoryTest, OneAlwaysHasRoom) {
  ReceiveMemory small({.bytes = 10, .timeout = absl::Seconds(1)});
  int64_t received = 0;
  small.MeasureWith([&](const std::string& /*peer*/) { return received; });
  small.Begin(1, "a", "caller", 100, now_);
  received = 100;
  EXPECT_THAT(small.Look(now_), IsEmpty());
  EXPECT_TRUE(small.Complete(1, 100).ok());
  small.Begin(2, "a", "caller", 100, now_);
  EXPECT_FALSE(small.Complete(2, 1).ok());
}

// A proxy's connection: many small messages pass while one stalls.
TEST_F(ReceiveMemoryTest, MessagesThatPassDoNotCountForTheOneThatStalls) {
  received_ = {{"proxy", 0}};
  Begin(1, "proxy");
  for (int id = 2; id < 100; ++id) {
    Begin(id, "proxy");
    received_["proxy"] += 50 * kMega;
    EXPECT_THAT(GivenUp(), IsEmpty()) << id;
    EXPECT_TRUE(memory_.Complete(id, 50 * kMega).ok());
    memory_.Release(id);
  }
}

TEST_F(ReceiveMemoryTest, OfOneConnectionTheOldestGoes) {
  received_ = {{"proxy", 0}};
  for (int id = 1; id <= 5; ++id) Begin(id, "proxy");
  received_["proxy"] = 5 * 60 * kMega;
  EXPECT_THAT(GivenUp(), ElementsAre(1));
}

// What came of an older message that has since arrived is not held against a younger one.
TEST_F(ReceiveMemoryTest, AnOlderMessagesRestIsNotTooLarge) {
  received_ = {{"proxy", 0}};
  Begin(1, "proxy");
  Begin(2, "proxy");
  received_["proxy"] = 64 * kMega;
  EXPECT_TRUE(memory_.Complete(1, 64 * kMega).ok());
  memory_.Release(1);
  received_["proxy"] += 60 * kMega;
  EXPECT_THAT(GivenUp(), IsEmpty());
}

TEST_F(ReceiveMemoryTest, WhoHasMostMessagesOnTheirWayGivesOneUp) {
  const int most = 1024;  // 256 MiB of 256 KiB each
  EXPECT_EQ(Begin(1, "honest", "honest"), std::nullopt);
  for (int id = 2; id <= most; ++id) EXPECT_EQ(Begin(id, "hostile", "hostile"), std::nullopt);
  const auto verdict = Begin(most + 1, "new", "new");
  ASSERT_TRUE(verdict.has_value());
  EXPECT_EQ(verdict->id, 2);
  EXPECT_TRUE(absl::IsResourceExhausted(verdict->status));
  EXPECT_EQ(Begin(most + 2, "new", "new")->id, 3) << "not the same again";
  EXPECT_EQ(memory_.arriving(), most + 2) << "until their calls have ended";
  memory_.Release(2);
  memory_.Release(3);
  EXPECT_EQ(Begin(most + 3, "new", "new")->id, 4);
}

TEST_F(ReceiveMemoryTest, SaysOnceThatThereWasMuch) {
  received_ = {{"a", 0}};
  Begin(1, "a");
  received_["a"] = 60 * kMega;
  GivenUp();
  memory_.Release(1);
  EXPECT_FALSE(memory_.TakeExcess()) << "not enough to speak of";
  Begin(2, "a");
  received_["a"] += 64 * kMega;
  GivenUp();
  EXPECT_FALSE(memory_.TakeExcess());
  EXPECT_TRUE(memory_.Complete(2, 64 * kMega).ok());
  GivenUp();
  EXPECT_FALSE(memory_.TakeExcess()) << "it is still there";
  memory_.Release(2);
  Begin(3, "a");
  GivenUp();
  EXPECT_TRUE(memory_.TakeExcess());
  EXPECT_FALSE(memory_.TakeExcess());
}

TEST_F(ReceiveMemoryTest, KeepsNothingOfWhatIsGone) {
  for (int id = 1; id < 1000; ++id) {
    Begin(id, std::to_string(id));
    if (id % 2 == 0) {
      EXPECT_TRUE(memory_.Complete(id, 1).ok());
    }
    memory_.Release(id);
    memory_.Release(id);
  }
  EXPECT_EQ(memory_.arriving(), 0);
  now_ += absl::Hours(1);
  EXPECT_THAT(GivenUp(), IsEmpty());
}

}  // namespace
}  // namespace varserve::transport
