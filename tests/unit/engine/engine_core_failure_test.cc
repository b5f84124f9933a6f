// Requests that fail, are cancelled or come too late, and what they leave to others; round by round, without
// a thread.
#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/engine_core.h"
#include "server/engine/retry_delay.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

bool Holds(const StepPlan& plan, SequenceId id) {
  return std::any_of(plan.steps.begin(), plan.steps.end(),
                     [id](const SequenceStep& step) { return step.sequence == id; });
}

TEST(EngineCoreFailureTest, DeadlinePassedInTheQueueNeverReachesTheModel) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.max_running = 1});
  harness.Add(MakeRequest(PromptBuilder().Text(8).Build(), 5));
  GenerationRequest late = MakeRequest(PromptBuilder().Text(8, 1).Build(), 5);
  late.deadline = harness.clock.Now() + absl::Seconds(1);
  harness.Add(late);
  harness.fault = [](const StepPlan& plan) {
    EXPECT_FALSE(Holds(plan, 2));
    return absl::OkStatus();
  };
  harness.Round();
  EXPECT_FALSE(harness.record(2).ended());
  harness.clock.Advance(absl::Seconds(1));
  harness.RunUntilIdle();
  EXPECT_TRUE(absl::IsDeadlineExceeded(*harness.record(2).failed));
  EXPECT_FALSE(harness.record(2).started.has_value());
  EXPECT_EQ(harness.record(1).finish, FinishReason::kLength);
}

// Ends sequence 2 of three after each number of rounds, by `end`, and checks that the others do not notice.
void EndAfterEachRound(absl::StatusCode code, const std::function<void(CoreHarness&)>& end) {
  const std::vector<int32_t> first = TokensAlone(MakeRequest(PicturePrompt(1, 1), 8));
  const std::vector<int32_t> third = TokensAlone(MakeRequest(PicturePrompt(2, 3), 8, kOn));
  for (int rounds = 0;; ++rounds) {
    CoreHarness harness;
    harness.Add(MakeRequest(PicturePrompt(1, 1), 8));
    GenerationRequest request = MakeRequest(PicturePrompt(2, 2), 8, kOn);
    request.deadline = harness.clock.Now() + absl::Seconds(1);
    harness.Add(request);
    harness.Add(MakeRequest(PicturePrompt(2, 3), 8, kOn));
    for (int i = 0; i < rounds; ++i) harness.Round();
    const bool finished = harness.record(2).ended();
    const size_t tokens = harness.record(2).tokens.size();
    end(harness);
    EXPECT_TRUE(harness.record(2).ended());
    harness.RunUntilIdle();
    EXPECT_EQ(harness.record(1).tokens, first);
    EXPECT_EQ(harness.record(3).tokens, third);
    if (finished) {
      EXPECT_GT(rounds, 10);
      return;
    }
    EXPECT_EQ(harness.record(2).failed->code(), code);
    EXPECT_THAT(harness.record(2).tokens, SizeIs(tokens)) << "tokens after the end";
  }
}

TEST(EngineCoreFailureTest, CancelledAnywhereFreesItsBlocksAtOnce) {
  EndAfterEachRound(absl::StatusCode::kCancelled, [](CoreHarness& harness) {
    EngineCore::Round round;
    harness.core.Fail(2, absl::CancelledError("test"), round);
    CheckInvariants(harness.core.scheduler(), harness.options, harness.runner.facts());
  });
}

TEST(EngineCoreFailureTest, DeadlinePassedAnywhereFreesItsBlocksAtOnce) {
  EndAfterEachRound(absl::StatusCode::kDeadlineExceeded, [](CoreHarness& harness) {
    harness.clock.Advance(absl::Seconds(1));
    EngineCore::Round round;
    harness.core.FailExpired(round);
    CheckInvariants(harness.core.scheduler(), harness.options, harness.runner.facts());
  });
}

TEST(EngineCoreFailureTest, FailAllEndsWaitingAndRunning) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.max_running = 1});
  for (int i = 0; i < 3; ++i) harness.Add(MakeRequest(PicturePrompt(i), 5));
  harness.Round();
  EngineCore::Round round;
  harness.core.FailAll(absl::UnavailableError("test"), round);
  EXPECT_EQ(round.ended, 3);
  EXPECT_TRUE(harness.idle());
  for (int id = 1; id <= 3; ++id) EXPECT_TRUE(absl::IsUnavailable(*harness.record(id).failed));
  harness.RunUntilIdle();
}

TEST(EngineCoreFailureTest, FailedStepEndsOnlyTheSequenceThatFailsAlone) {
  const std::vector<int32_t> first = TokensAlone(MakeRequest(PicturePrompt(1), 6));
  const std::vector<int32_t> third = TokensAlone(MakeRequest(PicturePrompt(3), 6));
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
  for (int i = 1; i <= 3; ++i) harness.Add(MakeRequest(PicturePrompt(i), 6));
  harness.fault = [&harness](const StepPlan& plan) {
    const bool poisoned = Holds(plan, 2) && harness.record(2).tokens.size() == 2;
    return poisoned ? absl::UnknownError("kernel launch") : absl::OkStatus();
  };
  while (!harness.record(2).ended()) EXPECT_EQ(harness.Round().step_succeeded, true);
  EXPECT_TRUE(absl::IsInternal(*harness.record(2).failed));
  EXPECT_THAT(std::string(harness.record(2).failed->message()), HasSubstr("kernel launch"));
  const auto failed_steps = std::count_if(harness.observer.steps.begin(), harness.observer.steps.end(),
                                          [](const EngineObserver::Step& step) { return step.failed; });
  EXPECT_EQ(failed_steps, 2) << "the batch, and sequence 2 alone";
  harness.RunUntilIdle();
  EXPECT_EQ(harness.runner.counts().cleared_blocks, 8 + 1) << "its own, and the first, which all three share";
  EXPECT_EQ(harness.record(1).tokens, first);
  EXPECT_EQ(harness.record(3).tokens, third);
}

TEST(EngineCoreFailureTest, StepThatFailsOnceIsMadeUpForSequenceBySequence) {
  const std::vector<int32_t> tokens = TokensAlone(MakeRequest(PicturePrompt(1), 6));
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
  harness.Add(MakeRequest(PicturePrompt(1), 6));
  harness.Add(MakeRequest(PicturePrompt(2), 6));
  int batches = 0;
  harness.fault = [&batches](const StepPlan& plan) {
    const bool batch = plan.steps.front().sequence != plan.steps.back().sequence;
    return batch && ++batches % 2 == 1 ? absl::InternalError("flaky") : absl::OkStatus();
  };
  harness.RunUntilIdle();
  EXPECT_GT(batches, 2);
  EXPECT_EQ(harness.record(1).tokens, tokens);
  EXPECT_EQ(harness.record(2).finish, FinishReason::kLength);
}

TEST(EngineCoreFailureTest, TokensDoNotWaitForTheOthersThatAreMadeUpFor) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
  for (int seed = 1; seed <= 2; ++seed) harness.Add(MakeRequest(TextPrompt(8, seed), 6));
  std::vector<size_t> tokens_of_first;
  harness.fault = [&](const StepPlan& plan) {
    tokens_of_first.push_back(harness.record(1).tokens.size());
    return plan.steps.size() > 1 ? absl::InternalError("flaky") : absl::OkStatus();
  };
  harness.Round();
  EXPECT_THAT(tokens_of_first, ElementsAre(0, 0, 1)) << "the batch, sequence 1, sequence 2";
  harness.RunUntilIdle();
}

TEST(EngineCoreFailureTest, LoneSequenceIsNotTriedAgain) {
  CoreHarness harness;
  harness.Add(MakeRequest(PicturePrompt(1), 6));
  harness.fault = [](const StepPlan&) { return absl::InternalError("broken"); };
  EXPECT_EQ(harness.Round().step_succeeded, false);
  EXPECT_EQ(harness.runner.counts().steps, 1);
  EXPECT_TRUE(absl::IsInternal(*harness.record(1).failed));
  EXPECT_FALSE(GetRetryDelay(*harness.record(1).failed).has_value());
  harness.fault = nullptr;
  harness.Add(MakeRequest(PicturePrompt(1), 6));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(2).finish, FinishReason::kLength);
}

// Or a model that makes no number of any prompt would look well half of the time.
TEST(EngineCoreFailureTest, AChunkOfAPromptIsNoSuccess) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 16});
  harness.runner.non_finite = [](const SequenceStep& step) { return step.sample; };
  for (SequenceId id = 1; id <= 3; ++id) {
    harness.Add(MakeRequest(PromptBuilder().Text(40, static_cast<int>(id)).Build(), 4));
    std::vector<std::optional<bool>> succeeded;
    while (!harness.record(id).ended()) succeeded.push_back(harness.Round().step_succeeded);
    EXPECT_THAT(succeeded, ElementsAre(std::nullopt, std::nullopt, false));
  }
}

TEST(EngineCoreFailureTest, OutOfMemoryIsSaidSo) {
  CoreHarness harness;
  harness.Add(MakeRequest(PicturePrompt(1), 6));
  harness.fault = [](const StepPlan&) { return absl::ResourceExhaustedError("device out of memory"); };
  harness.Round();
  EXPECT_TRUE(absl::IsResourceExhausted(*harness.record(1).failed));
  EXPECT_EQ(GetRetryDelay(*harness.record(1).failed), kDefaultRetryDelay);
}

TEST(EngineCoreFailureTest, NonFiniteLogitsEndOneRequestAndForgetItsPrefix) {
  const std::vector<int32_t> second = TokensAlone(MakeRequest(PicturePrompt(1, 2), 9));
  CoreHarness harness;
  harness.Add(MakeRequest(PicturePrompt(1, 1), 20));
  harness.Add(MakeRequest(PicturePrompt(1, 2), 9));
  harness.runner.non_finite = [&harness](const SequenceStep& step) {
    return step.sequence == 1 && harness.record(1).tokens.size() == 4;
  };
  while (!harness.record(1).ended()) EXPECT_NE(harness.Round().step_succeeded, false);
  EXPECT_TRUE(absl::IsInternal(*harness.record(1).failed));
  ASSERT_FALSE(harness.record(2).ended());
  // Sequence 2 goes on with the prefix they share, but nobody gets it anew.
  harness.Add(MakeRequest(PicturePrompt(1, 3), 2));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(2).tokens, second);
  EXPECT_EQ(harness.record(3).started->cached_tokens, 0);
  EXPECT_EQ(harness.runner.counts().encoded_images, 2);
  harness.Round();
  EXPECT_EQ(harness.core.scheduler().pool().num_tainted(), 0);
}

TEST(EngineCoreFailureTest, FailedChunkEndsTheSequenceWhateverItsLaterChunksSay) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
  harness.Add(MakeRequest(PicturePrompt(1), 6));
  harness.runner.non_finite = [](const SequenceStep& step) { return step.begin == 8; };
  harness.Add(MakeRequest(PromptBuilder().Text(3, 1).Build(), 6));
  harness.Round();
  EXPECT_EQ(harness.last_plan, "1[0,8)+image0 1[8,16) 1[16,21) 1[21,27) 2[0,3)");
  EXPECT_TRUE(absl::IsInternal(*harness.record(1).failed));
  EXPECT_THAT(harness.record(2).tokens, SizeIs(1)) << "its result came after the failed ones";
  harness.RunUntilIdle();
}

TEST(EngineCoreFailureTest, ResultsOfAWrongSizeAreAFaultNotACrash) {
  const std::function<void(StepOutput&)> edits[] = {
      [](StepOutput& output) { output.results.clear(); },
      [](StepOutput& output) { output.results.back().measures.pop_back(); },
      [](StepOutput& output) { output.results.back().rows.clear(); },
      [](StepOutput& output) { output.results.back().token.reset(); },
  };
  for (const auto& edit : edits) {
    CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
    harness.Add(MakeRequest(PicturePrompt(1), 6, kOn));
    harness.runner.edit_output = edit;
    harness.Round();
    ASSERT_TRUE(harness.record(1).failed.has_value());
    EXPECT_TRUE(absl::IsInternal(*harness.record(1).failed));
    harness.RunUntilIdle();
  }
}

}  // namespace
}  // namespace varserve::engine
