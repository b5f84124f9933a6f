// Runners whose steps run on a device of their own: sinks hear of a step while the next one runs, and of the
// same as otherwise.
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

ModelFacts AsynchronousFacts() {
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.asynchronous = true;
  return facts;
}

RecordingSink::Judge StopAt(int tokens) {
  return
      [tokens](int num_tokens) { return num_tokens == tokens ? SinkVerdict::kStop : SinkVerdict::kContinue; };
}

// The whole prompt in one step.
class DeliveriesTest : public ::testing::Test {
 protected:
  // That the sink has got.
  size_t num_tokens(SequenceId id = 1) const { return harness_.record(id).tokens.size(); }

  CoreHarness harness_{AsynchronousFacts(), {.prefill_budget = 100}};
};

TEST_F(DeliveriesTest, SinksHearOfAStepWhileTheNextOneRuns) {
  size_t before = 0;
  size_t meanwhile = 0;
  harness_.fault = [&](const StepPlan&) {
    before = num_tokens();
    return absl::OkStatus();
  };
  harness_.runner.edit_output = [&](StepOutput&) { meanwhile = num_tokens(); };
  harness_.Add(MakeRequest(PicturePrompt(1), 4));
  for (size_t step = 1; step <= 3; ++step) {
    harness_.Round();
    EXPECT_EQ(before, step < 2 ? 0 : step - 2);
    EXPECT_EQ(meanwhile, step - 1);
    EXPECT_EQ(num_tokens(), step - 1);
  }
  harness_.Round();
  EXPECT_TRUE(harness_.idle());
  EXPECT_THAT(harness_.record(1).tokens, SizeIs(4)) << "no step follows";
  EXPECT_EQ(harness_.record(1).finish, FinishReason::kLength);
}

TEST_F(DeliveriesTest, TheEndComesMeanwhileAndItsBlocksAreFreeBefore) {
  harness_.Add(MakeRequest(PicturePrompt(1), 2, kOn));
  harness_.Add(MakeRequest(PicturePrompt(2), 9));
  harness_.Round();
  harness_.Round();
  EXPECT_THAT(harness_.core.scheduler().running(), SizeIs(1));
  EXPECT_FALSE(harness_.record(1).ended());
  harness_.Round();
  EXPECT_EQ(harness_.record(1).finish, FinishReason::kLength);
  EXPECT_THAT(harness_.record(1).tokens, SizeIs(2));
  EXPECT_EQ(harness_.record(1).report->eligible_rows, 6 + 1);
}

TEST_F(DeliveriesTest, ASinkThatMayStopHearsOfATokenAtOnce) {
  GenerationRequest request = MakeRequest(PicturePrompt(1), 10, kObserve);
  request.sink_may_stop = true;
  harness_.Add(request, StopAt(3));
  harness_.Add(MakeRequest(PicturePrompt(2), 10));
  for (int step = 0; step < 3; ++step) harness_.Round();
  EXPECT_EQ(harness_.record(1).finish, FinishReason::kStopString);
  EXPECT_EQ(harness_.record(1).report->eligible_rows, 6 + 2) << "nothing was computed in vain";
  harness_.RunUntilIdle();
  EXPECT_THAT(harness_.record(2).tokens, SizeIs(10));
}

TEST_F(DeliveriesTest, ASinkThatStopsUnexpectedlyGetsNoFurtherToken) {
  for (const int max_tokens : {3, 4, 10}) {  // the last token, the one before it, and neither
    const SequenceId id = harness_.Add(MakeRequest(PicturePrompt(1), max_tokens, kObserve), StopAt(3));
    harness_.RunUntilIdle();
    EXPECT_EQ(harness_.record(id).finish, FinishReason::kStopString) << max_tokens;
    EXPECT_THAT(harness_.record(id).tokens, SizeIs(3)) << max_tokens;
    EXPECT_NE(harness_.record(id).report, nullptr);
  }
}

TEST_F(DeliveriesTest, ASinkThatThrowsEndsItsRequestAlone) {
  const std::vector<int32_t> other = TokensAlone(MakeRequest(PicturePrompt(2), 10));
  const auto fail_at_3 = [](int num_tokens) -> SinkVerdict {
    if (num_tokens == 3) throw std::runtime_error("the third");
    return SinkVerdict::kContinue;
  };
  for (const int max_tokens : {3, 4, 10}) {
    const SequenceId id = harness_.Add(MakeRequest(PicturePrompt(1), max_tokens), fail_at_3);
    harness_.Add(MakeRequest(PicturePrompt(2), 10));
    harness_.RunUntilIdle();
    ASSERT_TRUE(harness_.record(id).failed.has_value()) << max_tokens;
    EXPECT_THAT(std::string(harness_.record(id).failed->message()), HasSubstr("the third"));
    EXPECT_THAT(harness_.record(id).tokens, SizeIs(3)) << max_tokens;
    EXPECT_EQ(harness_.record(id + 1).tokens, other);
  }
}

TEST_F(DeliveriesTest, CancellingSendsTheTokensBefore) {
  harness_.Add(MakeRequest(TextPrompt(8, 1), 10));
  harness_.Add(MakeRequest(TextPrompt(8, 2), 2));
  harness_.Round();
  harness_.Round();
  EngineCore::Round round;
  harness_.core.Fail(1, absl::CancelledError("test"), round);
  EXPECT_TRUE(absl::IsCancelled(*harness_.record(1).failed));
  EXPECT_THAT(harness_.record(1).tokens, SizeIs(2));
  EXPECT_TRUE(harness_.idle());
  EXPECT_EQ(harness_.record(2).finish, FinishReason::kLength) << "no step follows";
}

// The sink's verdict ends what the deadline would end.
TEST_F(DeliveriesTest, ASinkMayStopWhenItsDeadlinePasses) {
  GenerationRequest request = MakeRequest(PicturePrompt(1), 10);
  request.deadline = harness_.clock.Now() + absl::Seconds(1);
  harness_.Add(request, StopAt(2));
  harness_.Add(request);
  harness_.Round();
  harness_.Round();
  harness_.clock.Advance(absl::Seconds(1));
  harness_.RunUntilIdle();
  EXPECT_EQ(harness_.record(1).finish, FinishReason::kStopString);
  EXPECT_TRUE(absl::IsDeadlineExceeded(*harness_.record(2).failed));
}

TEST_F(DeliveriesTest, StepsThatFailLoseNothing) {
  const std::vector<int32_t> tokens = TokensAlone(MakeRequest(PicturePrompt(1), 8));
  harness_.Add(MakeRequest(PicturePrompt(1), 8));
  harness_.Add(MakeRequest(PicturePrompt(2), 8));
  harness_.Add(MakeRequest(PicturePrompt(3), 8), StopAt(4));
  int steps = 0;
  harness_.fault =
      [&](const StepPlan& plan) {  // every batch fails once, and request 2 alone at its fifth token
        const bool batch = plan.steps.front().sequence != plan.steps.back().sequence;
        const bool poisoned = plan.steps.front().sequence == 2 && num_tokens(2) >= 4;
        return (batch && ++steps % 2 == 1) || poisoned ? absl::InternalError("flaky") : absl::OkStatus();
      };
  harness_.RunUntilIdle();
  EXPECT_GT(steps, 3);
  EXPECT_EQ(harness_.record(1).tokens, tokens);
  EXPECT_TRUE(absl::IsInternal(*harness_.record(2).failed));
  EXPECT_EQ(harness_.record(3).finish, FinishReason::kStopString);
  EXPECT_THAT(harness_.record(3).tokens, SizeIs(4));
}

TEST_F(DeliveriesTest, AbandoningSendsWhatWasFinished) {
  harness_.Add(MakeRequest(TextPrompt(8, 1), 2));
  harness_.Add(MakeRequest(TextPrompt(8, 2), 10));
  harness_.Round();
  harness_.Round();
  ASSERT_FALSE(harness_.record(1).ended());
  harness_.core.Abandon(absl::UnavailableError("test"));
  EXPECT_EQ(harness_.record(1).finish, FinishReason::kLength);
  EXPECT_TRUE(absl::IsUnavailable(*harness_.record(2).failed));
  EXPECT_THAT(harness_.record(2).tokens, SizeIs(2));
}

}  // namespace
}  // namespace varserve::engine
