// How an engine ends: by a drain, or at once.
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/engine_fixture.h"

namespace varserve::engine {
namespace {

using ::testing::SizeIs;

class EngineShutdownTest : public EngineFixture {};

TEST_F(EngineShutdownTest, DrainFinishesWhatWasAcceptedAndRefusesTheRest) {
  Start({.scheduler = {.max_running = 1}});
  const Submitted running = SubmitAndBlock(MakeRequest(TextPrompt(8, 1), 10));
  const Submitted waiting = Submit(MakeRequest(TextPrompt(8, 2), 10));
  std::thread drain([this] { engine_->Drain(absl::InfiniteFuture()); });
  WaitUntilShuttingDown();
  gate_.Open();
  drain.join();
  EXPECT_THAT(running.sink->record().tokens, SizeIs(10));
  EXPECT_THAT(waiting.sink->record().tokens, SizeIs(10));
  EXPECT_FALSE(engine_->health().working);
  StopAndCheck();
}

TEST_F(EngineShutdownTest, DrainWaitsForSinksThatHearOfAStepLater) {
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.asynchronous = true;
  Start({}, facts);
  const Submitted first = SubmitAndBlock(MakeRequest(TextPrompt(8, 1), 10));
  const Submitted second = Submit(MakeRequest(TextPrompt(8, 2), 13));
  gate_.Open();
  EXPECT_TRUE(engine_->Drain(absl::InfiniteFuture()));
  EXPECT_EQ(first.sink->record().finish, FinishReason::kLength);
  EXPECT_THAT(first.sink->record().tokens, SizeIs(10));
  EXPECT_EQ(second.sink->record().finish, FinishReason::kLength);
  StopAndCheck();
}

TEST_F(EngineShutdownTest, DrainEndsWhatIsLeftAtItsDeadline) {
  step_duration_ = absl::Seconds(1);
  Start({.scheduler = {.max_running = 1}});
  const Submitted running = SubmitAndBlock(MakeRequest(TextPrompt(8, 1), 100));
  const Submitted waiting = Submit(MakeRequest(TextPrompt(8, 2), 100));
  std::thread drain([this, deadline = clock_.Now() + absl::Seconds(5)] { engine_->Drain(deadline); });
  WaitUntilShuttingDown();
  gate_.Open();
  drain.join();
  EXPECT_TRUE(absl::IsUnavailable(running.sink->record().failed.value()));
  EXPECT_THAT(running.sink->record().tokens, SizeIs(5));
  EXPECT_TRUE(absl::IsUnavailable(waiting.sink->record().failed.value()));
  StopAndCheck();
}

TEST_F(EngineShutdownTest, DrainGivesUpOnAStepThatHangs) {
  Start();
  const Submitted hanging = SubmitAndBlock(MakeRequest(TextPrompt(8, 1), 100));
  EXPECT_FALSE(engine_->Drain(clock_.Now(), absl::ZeroDuration()));
  EXPECT_FALSE(hanging.sink->record().ended());
  gate_.Open();
  EXPECT_TRUE(absl::IsUnavailable(hanging.sink->WaitUntilEnded().failed.value()));
  EXPECT_TRUE(engine_->Drain(clock_.Now()));
  StopAndCheck();
}

TEST_F(EngineShutdownTest, StopEndsEverything) {
  Start({.scheduler = {.max_running = 1}});
  const Submitted running = SubmitAndBlock(MakeRequest(TextPrompt(8, 1), 100));
  const Submitted waiting = Submit(MakeRequest(TextPrompt(8, 2), 100));
  std::thread stop([this] { engine_->Stop(); });
  WaitUntilShuttingDown();
  gate_.Open();
  stop.join();
  EXPECT_TRUE(absl::IsUnavailable(running.sink->record().failed.value()));
  EXPECT_TRUE(absl::IsUnavailable(waiting.sink->record().failed.value()));
  EXPECT_TRUE(absl::IsUnavailable(Submit(MakeRequest(TextPrompt(8), 1)).status));
  engine_->Cancel(running.id);
  engine_->Drain(absl::InfiniteFuture());
  StopAndCheck();
}

}  // namespace
}  // namespace varserve::engine
