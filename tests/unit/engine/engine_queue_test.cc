// What may wait for the engine, for how long, and what that counts as.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/retry_delay.h"
#include "tests/unit/engine/engine_fixture.h"

namespace varserve::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class EngineQueueTest : public EngineFixture {};

TEST_F(EngineQueueTest, RefusesMoreThanMayWaitAndSaysWhenToComeBack) {
  Start({.scheduler = {.max_running = 1}, .queue = {.max_waiting = 2}});
  const Submitted running = SubmitAndBlock(MakeRequest(TextPrompt(8), 4));
  EXPECT_TRUE(Submit(MakeRequest(TextPrompt(8), 4)).status.ok());
  EXPECT_TRUE(Submit(MakeRequest(TextPrompt(8), 4)).status.ok());
  const Submitted refused = Submit(MakeRequest(TextPrompt(8), 4));
  EXPECT_TRUE(absl::IsResourceExhausted(refused.status));
  EXPECT_TRUE(GetRetryDelay(refused.status).has_value());
  gate_.Open();
  running.sink->WaitUntilEnded();
  engine_->Drain(absl::InfiniteFuture());
  StopAndCheck();
}

TEST_F(EngineQueueTest, APlaceIsKeptUntilItIsUsedOrDropped) {
  Start({.scheduler = {.max_running = 1}, .queue = {.max_waiting = 1}});
  const Submitted running = SubmitAndBlock(MakeRequest(TextPrompt(8), 4));
  auto place = engine_->Reserve("", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok());
  const absl::Status refused = engine_->Reserve("", absl::InfiniteFuture()).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_TRUE(GetRetryDelay(refused).has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(Submit(MakeRequest(TextPrompt(8), 4)).status));

  place->reset();
  place = engine_->Reserve("", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok());
  const auto bad = std::make_shared<RecordingSink>();
  EXPECT_TRUE(absl::IsInvalidArgument(
      engine_->Submit({{MakeRequest(TextPrompt(0), 4), bad}}, *std::move(place)).status()));
  place = engine_->Reserve("", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok()) << "given back by the refusal";

  const auto sink = std::make_shared<RecordingSink>();
  EXPECT_TRUE(engine_->Submit({{MakeRequest(TextPrompt(8), 4), sink}}, *std::move(place)).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(engine_->Reserve("", absl::InfiniteFuture()).status())) << "used up";
  gate_.Open();
  sink->WaitUntilEnded();
  EXPECT_TRUE(engine_->Drain(absl::InfiniteFuture()));
  EXPECT_TRUE(absl::IsUnavailable(engine_->Reserve("", absl::InfiniteFuture()).status()));
  StopAndCheck();
}

TEST_F(EngineQueueTest, QueueTimeIsTheWaitForPreparationAndForAdmission) {
  Start();
  auto place = engine_->Reserve("", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok());
  clock_.Advance(absl::Seconds(3));
  engine_->BeginPreparing(*place);
  clock_.Advance(absl::Seconds(100));  // a large picture
  const auto sink = std::make_shared<RecordingSink>();
  ASSERT_TRUE(engine_->Submit({{MakeRequest(TextPrompt(8), 1, kOn), sink}}, *std::move(place)).ok());
  ASSERT_TRUE(engine_->Drain(absl::InfiniteFuture()));
  StopAndCheck();
  ASSERT_THAT(observer_.left_queue, SizeIs(1));
  EXPECT_EQ(observer_.left_queue[0].queue_time, absl::Seconds(3));
  EXPECT_EQ(observer_.left_queue[0].var, Mode::kOn);
  EXPECT_TRUE(observer_.left_queue[0].admitted);
}

TEST_F(EngineQueueTest, AWaitThatEndsBeforePreparationCounts) {
  Start();
  auto place = engine_->Reserve("", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok());
  clock_.Advance(absl::Seconds(3));
  engine_->GiveUp(*std::move(place));
  EXPECT_EQ(engine_->load().reserved, 0);
  StopAndCheck();
  ASSERT_THAT(observer_.left_queue, SizeIs(1));
  EXPECT_EQ(observer_.left_queue[0].queue_time, absl::Seconds(3));
  EXPECT_FALSE(observer_.left_queue[0].admitted);
}

TEST_F(EngineQueueTest, LoadIsWhatWaitsAndWhatHasAPlace) {
  Start({.scheduler = {.max_running = 1}});
  EXPECT_EQ(engine_->load().oldest, absl::ZeroDuration());
  const Submitted running = SubmitAndBlock(MakeRequest(TextPrompt(8), 4));
  clock_.Advance(absl::Seconds(1));
  auto place = engine_->Reserve("a", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok());
  clock_.Advance(absl::Seconds(2));
  const Submitted waiting = Submit(MakeRequest(TextPrompt(9, 1), 4));
  clock_.Advance(absl::Seconds(4));
  Engine::Load load = engine_->load();
  EXPECT_EQ(load.reserved, 1);
  EXPECT_EQ(load.waiting, 1) << "the other one runs";
  EXPECT_EQ(load.waiting_tokens, 9);
  EXPECT_EQ(load.oldest, absl::Seconds(6)) << "the place";
  place->reset();
  load = engine_->load();
  EXPECT_EQ(load.reserved, 0);
  EXPECT_EQ(load.oldest, absl::Seconds(4));
  gate_.Open();
  waiting.sink->WaitUntilEnded();
  engine_->Drain(absl::InfiniteFuture());
  EXPECT_EQ(engine_->load().waiting, 0);
  EXPECT_EQ(engine_->load().oldest, absl::ZeroDuration());
  StopAndCheck();
}

TEST_F(EngineQueueTest, ACallerCannotTakeTheWholeQueue) {
  Start({.scheduler = {.max_running = 1}, .queue = {.max_waiting = 4}});
  const auto of = [](const std::string& caller, int seed) {
    GenerationRequest request = MakeRequest(TextPrompt(8, seed), 2);
    request.caller = caller;
    return request;
  };
  const Submitted running = SubmitAndBlock(of("hog", 0));
  std::vector<Submitted> waiting;
  for (int i = 1; i <= 3; ++i) waiting.push_back(Submit(of("hog", i)));
  const absl::Status refused = Submit(of("hog", 4)).status;
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_THAT(std::string(refused.message()), HasSubstr("caller: of \"hog\""));
  EXPECT_TRUE(GetRetryDelay(refused).has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(engine_->Reserve("hog", absl::InfiniteFuture()).status()));
  auto place = engine_->Reserve("guest", absl::InfiniteFuture());
  ASSERT_TRUE(place.ok());
  const auto guest = std::make_shared<RecordingSink>();
  ASSERT_TRUE(engine_->Submit({{of("guest", 5), guest}}, *std::move(place)).ok());
  gate_.Open();
  guest->WaitUntilEnded();
  engine_->Drain(absl::InfiniteFuture());
  for (const Submitted& s : waiting) EXPECT_TRUE(s.sink->record().finish.has_value());
  StopAndCheck();
}

TEST_F(EngineQueueTest, RefusesADeadlineTheQueueMakesImpossible) {
  step_duration_ = absl::Seconds(1);
  Start({.scheduler = {.max_running = 1}});
  Submit(MakeRequest(TextPrompt(16, 1), 2)).sink->WaitUntilEnded();  // 8 tokens of prefill a second
  const Submitted running = SubmitAndBlock(MakeRequest(TextPrompt(8, 2), 4));
  const Submitted waiting = Submit(MakeRequest(TextPrompt(40, 3), 4));
  GenerationRequest hurried = MakeRequest(TextPrompt(8, 4), 4);
  hurried.deadline = clock_.Now() + absl::Seconds(4);
  EXPECT_TRUE(absl::IsDeadlineExceeded(Submit(hurried).status));
  hurried.deadline = clock_.Now() + absl::Seconds(60);
  EXPECT_TRUE(Submit(hurried).status.ok());
  gate_.Open();
  engine_->Drain(absl::InfiniteFuture());
  EXPECT_TRUE(waiting.sink->record().finish.has_value());
  StopAndCheck();
}

}  // namespace
}  // namespace varserve::engine
