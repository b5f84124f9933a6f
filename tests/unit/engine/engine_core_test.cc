// How requests end, and what failures leave behind; round by round, without a thread.
#include "server/engine/engine_core.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/retry_delay.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::shared_ptr<const Prompt> Picture(uint8_t picture, int question = 0) {
  return PromptBuilder().Text(5).Image(picture, 4, 4).Text(6, question).Build();
}

std::vector<int32_t> TokensAlone(GenerationRequest request) {
  CoreHarness harness;
  harness.Add(std::move(request));
  harness.RunUntilIdle();
  return harness.record(1).tokens;
}

bool Holds(const StepPlan& plan, SequenceId id) {
  return std::any_of(plan.steps.begin(), plan.steps.end(),
                     [id](const SequenceStep& step) { return step.sequence == id; });
}

TEST(EngineCoreTest, EndsAtMaxTokens) {
  CoreHarness harness;
  harness.Add(MakeRequest(Picture(1), 7));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(1).finish, FinishReason::kLength);
  EXPECT_THAT(harness.record(1).tokens, SizeIs(7));
}

TEST(EngineCoreTest, EndsAtTheContext) {
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.context = 30;
  CoreHarness harness(facts);
  harness.Add(MakeRequest(Picture(1), 100));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(1).finish, FinishReason::kLength);
  EXPECT_THAT(harness.record(1).tokens, SizeIs(3));
}

TEST(EngineCoreTest, EndOfSequenceTokenIsNotPartOfTheAnswer) {
  const std::vector<int32_t> tokens = TokensAlone(MakeRequest(Picture(1), 10));
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.eos_token_ids = {tokens[6], tokens[4]};
  const auto eos = std::find_first_of(tokens.begin(), tokens.end(), facts.eos_token_ids.begin(),
                                      facts.eos_token_ids.end());
  CoreHarness harness(facts);
  GenerationRequest request = MakeRequest(Picture(1), 10, kObserve);
  request.sampling.ignore_eos = false;
  harness.Add(request);
  harness.Add(MakeRequest(Picture(1), 10));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(1).finish, FinishReason::kStop);
  EXPECT_EQ(harness.record(1).tokens, std::vector<int32_t>(tokens.begin(), eos));
  // Six prompt tokens after the image, and every generated one.
  EXPECT_EQ(harness.record(1).report->eligible_rows, 6 + (eos - tokens.begin()));
  EXPECT_EQ(harness.record(2).finish, FinishReason::kLength) << "ignore_eos";
  EXPECT_EQ(harness.record(2).tokens, tokens);
}

TEST(EngineCoreTest, SinkCanStopTheAnswer) {
  CoreHarness harness;
  const auto stop_at_3 = [](int num_tokens) {
    return num_tokens == 3 ? SinkVerdict::kStop : SinkVerdict::kContinue;
  };
  harness.Add(MakeRequest(Picture(1), 10), stop_at_3);
  harness.Add(MakeRequest(Picture(2), 3), stop_at_3);
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(1).finish, FinishReason::kStopString);
  EXPECT_THAT(harness.record(1).tokens, SizeIs(3));
  EXPECT_EQ(harness.record(2).finish, FinishReason::kStopString) << "although it is the last token anyway";
}

TEST(EngineCoreTest, OnlyMeasuredRequestsGetAReport) {
  CoreHarness harness;
  GenerationRequest with_maps = MakeRequest(Picture(1), 3, kOn);
  with_maps.map_layers = {1};
  harness.Add(with_maps);
  harness.Add(MakeRequest(Picture(1), 3, kOff));
  harness.RunUntilIdle();
  ASSERT_NE(harness.record(1).report, nullptr);
  const VarReport& report = *harness.record(1).report;
  EXPECT_EQ(report.settings, kOn);
  EXPECT_EQ(report.eligible_rows, 6 + 2);
  ASSERT_THAT(report.maps, SizeIs(3));
  EXPECT_EQ(report.maps[0].position, 26);
  EXPECT_EQ(report.maps[2].position, 28);
  EXPECT_THAT(report.maps[0].before, SizeIs(16));
  EXPECT_EQ(harness.record(2).report, nullptr);
}

TEST(EngineCoreTest, MakesNoMoreMapsThanTheReportMayHold) {
  CoreHarness harness;
  GenerationRequest request = MakeRequest(Picture(1), 40, kOn);
  request.map_layers = {1};
  request.max_map_bytes = 3 * 2 * 4 * 16;
  harness.Add(request);
  int maps = 0;
  harness.runner.edit_output = [&maps](StepOutput& output) { maps += output.results.back().map.has_value(); };
  harness.RunUntilIdle();
  EXPECT_THAT(harness.record(1).report->maps, SizeIs(4)) << "the last one says that there are more";
  EXPECT_EQ(maps, 4) << "no others are computed";
  EXPECT_THAT(harness.record(1).tokens, SizeIs(40));
}

TEST(EngineCoreTest, ObserverHearsOfAllThatLeaveTheQueue) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.max_running = 1});
  harness.Add(MakeRequest(Picture(1), 3, kOn));
  harness.clock.Advance(absl::Seconds(1));
  harness.Add(MakeRequest(Picture(1), 3));
  harness.clock.Advance(absl::Seconds(2));
  EngineCore::Round round = harness.Round();
  harness.core.Fail(2, absl::CancelledError("test"), round);
  harness.core.Fail(1, absl::CancelledError("test"), round);
  using Left = RecordingObserver::LeftQueue;
  EXPECT_THAT(harness.observer.left_queue, ElementsAre(Left{Mode::kOn, absl::Seconds(3), true},
                                                       Left{Mode::kOff, absl::Seconds(2), false}));
}

TEST(EngineCoreTest, DeadlinesInTheFarFutureDoNotPass) {
  CoreHarness harness;
  for (const absl::Time deadline :
       {absl::FromCivil(absl::CivilYear(2500), absl::UTCTimeZone()), absl::InfiniteFuture()}) {
    GenerationRequest request = MakeRequest(Picture(1), 3);
    request.deadline = deadline;
    harness.Add(request);
  }
  harness.RunUntilIdle();
  EXPECT_TRUE(harness.record(1).finish.has_value());
  EXPECT_TRUE(harness.record(2).finish.has_value());
}

TEST(EngineCoreTest, TellsTimeInQueueAndTokensFromTheCache) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.max_running = 1});
  harness.fault = [&harness](const StepPlan&) {
    harness.clock.Advance(absl::Seconds(1));
    return absl::OkStatus();
  };
  harness.Add(MakeRequest(PromptBuilder().Text(8).Build(), 3));
  harness.Add(MakeRequest(PromptBuilder().Text(8).Build(), 3));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(1).started->queue_time, absl::ZeroDuration());
  EXPECT_EQ(harness.record(1).started->cached_tokens, 0);
  EXPECT_EQ(harness.record(2).started->queue_time, absl::Seconds(3));
  EXPECT_EQ(harness.record(2).started->cached_tokens, 4);
  EXPECT_EQ(harness.observer.queried, 16);
  EXPECT_EQ(harness.observer.hit, 4);
}

TEST(EngineCoreTest, ObserverSeesStepsAndLoad) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.max_running = 1});
  harness.fault = [&harness](const StepPlan&) {
    harness.clock.Advance(absl::Milliseconds(5));
    return absl::OkStatus();
  };
  harness.Add(MakeRequest(PromptBuilder().Text(8).Build(), 2));
  harness.Add(MakeRequest(PromptBuilder().Text(9).Build(), 1));
  harness.Round();
  const EngineObserver::Load load = harness.observer.loads.at(0);
  EXPECT_EQ(load.running, 1);
  EXPECT_EQ(load.waiting, 1);
  EXPECT_EQ(load.waiting_tokens, 9);
  EXPECT_EQ(load.used_blocks, 3);
  EXPECT_EQ(load.cached_blocks, 0);
  EXPECT_EQ(load.total_blocks, 64);
  harness.Round();
  EXPECT_EQ(harness.observer.loads.at(1).used_blocks, 0);
  EXPECT_EQ(harness.observer.loads.at(1).cached_blocks, 2);
  EXPECT_EQ(harness.observer.steps.at(0).prefill_tokens, 8);
  EXPECT_EQ(harness.observer.steps.at(0).decode_tokens, 0);
  EXPECT_EQ(harness.observer.steps.at(0).duration, absl::Milliseconds(5));
  EXPECT_EQ(harness.observer.steps.at(1).prefill_tokens, 0);
  EXPECT_EQ(harness.observer.steps.at(1).decode_tokens, 1);
  EXPECT_FALSE(harness.observer.steps.at(1).failed);
}

TEST(EngineCoreTest, RoundReportsWhatTheQueueNeedsToKnow) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.max_running = 1});
  harness.Add(MakeRequest(Picture(1), 1));
  harness.Add(MakeRequest(Picture(1), 1));
  EngineCore::Round round = harness.Round();
  ASSERT_THAT(round.left_queue, SizeIs(1));
  EXPECT_EQ(round.left_queue[0].prefix_tokens, 21);
  EXPECT_EQ(round.left_queue[0].suffix_tokens, 6);
  EXPECT_EQ(round.stats.admitted, 1);
  EXPECT_EQ(round.stats.prefill_tokens, 8);
  EXPECT_EQ(round.ended, 0);
  round = {};
  harness.core.Fail(2, absl::CancelledError("test"), round);
  EXPECT_THAT(round.left_queue, SizeIs(1)) << "ended while it waited";
  EXPECT_EQ(round.ended, 1);
  round = {};
  harness.core.Fail(1, absl::CancelledError("test"), round);
  EXPECT_THAT(round.left_queue, IsEmpty()) << "left it when it was admitted";
  EXPECT_EQ(round.ended, 1);
}

TEST(EngineCoreTest, DeadlinePassedInTheQueueNeverReachesTheModel) {
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
  const std::vector<int32_t> first = TokensAlone(MakeRequest(Picture(1, 1), 8));
  const std::vector<int32_t> third = TokensAlone(MakeRequest(Picture(2, 3), 8, kOn));
  for (int rounds = 0;; ++rounds) {
    CoreHarness harness;
    harness.Add(MakeRequest(Picture(1, 1), 8));
    GenerationRequest request = MakeRequest(Picture(2, 2), 8, kOn);
    request.deadline = harness.clock.Now() + absl::Seconds(1);
    harness.Add(request);
    harness.Add(MakeRequest(Picture(2, 3), 8, kOn));
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

TEST(EngineCoreTest, CancelledAnywhereFreesItsBlocksAtOnce) {
  EndAfterEachRound(absl::StatusCode::kCancelled, [](CoreHarness& harness) {
    EngineCore::Round round;
    harness.core.Fail(2, absl::CancelledError("test"), round);
    CheckInvariants(harness.core.scheduler(), harness.options, harness.runner.facts());
  });
}

TEST(EngineCoreTest, DeadlinePassedAnywhereFreesItsBlocksAtOnce) {
  EndAfterEachRound(absl::StatusCode::kDeadlineExceeded, [](CoreHarness& harness) {
    harness.clock.Advance(absl::Seconds(1));
    EngineCore::Round round;
    harness.core.FailExpired(round);
    CheckInvariants(harness.core.scheduler(), harness.options, harness.runner.facts());
  });
}

TEST(EngineCoreTest, FailAllEndsWaitingAndRunning) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.max_running = 1});
  for (int i = 0; i < 3; ++i) harness.Add(MakeRequest(Picture(i), 5));
  harness.Round();
  EngineCore::Round round;
  harness.core.FailAll(absl::UnavailableError("test"), round);
  EXPECT_EQ(round.ended, 3);
  EXPECT_TRUE(harness.idle());
  for (int id = 1; id <= 3; ++id) EXPECT_TRUE(absl::IsUnavailable(*harness.record(id).failed));
  harness.RunUntilIdle();
}

TEST(EngineCoreTest, FailedStepEndsOnlyTheSequenceThatFailsAlone) {
  const std::vector<int32_t> first = TokensAlone(MakeRequest(Picture(1), 6));
  const std::vector<int32_t> third = TokensAlone(MakeRequest(Picture(3), 6));
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
  for (int i = 1; i <= 3; ++i) harness.Add(MakeRequest(Picture(i), 6));
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

TEST(EngineCoreTest, StepThatFailsOnceIsMadeUpForSequenceBySequence) {
  const std::vector<int32_t> tokens = TokensAlone(MakeRequest(Picture(1), 6));
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
  harness.Add(MakeRequest(Picture(1), 6));
  harness.Add(MakeRequest(Picture(2), 6));
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

TEST(EngineCoreTest, LoneSequenceIsNotTriedAgain) {
  CoreHarness harness;
  harness.Add(MakeRequest(Picture(1), 6));
  harness.fault = [](const StepPlan&) { return absl::InternalError("broken"); };
  EXPECT_EQ(harness.Round().step_succeeded, false);
  EXPECT_EQ(harness.runner.counts().steps, 1);
  EXPECT_TRUE(absl::IsInternal(*harness.record(1).failed));
  EXPECT_FALSE(GetRetryDelay(*harness.record(1).failed).has_value());
  harness.fault = nullptr;
  harness.Add(MakeRequest(Picture(1), 6));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(2).finish, FinishReason::kLength);
}

// Or a model that makes no number of any prompt would look well half of the time.
TEST(EngineCoreTest, AChunkOfAPromptIsNoSuccess) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 16});
  harness.runner.non_finite = [](const SequenceStep& step) { return step.sample; };
  for (SequenceId id = 1; id <= 3; ++id) {
    harness.Add(MakeRequest(PromptBuilder().Text(40, static_cast<int>(id)).Build(), 4));
    std::vector<std::optional<bool>> succeeded;
    while (!harness.record(id).ended()) succeeded.push_back(harness.Round().step_succeeded);
    EXPECT_THAT(succeeded, ElementsAre(std::nullopt, std::nullopt, false));
  }
}

TEST(EngineCoreTest, OutOfMemoryIsSaidSo) {
  CoreHarness harness;
  harness.Add(MakeRequest(Picture(1), 6));
  harness.fault = [](const StepPlan&) { return absl::ResourceExhaustedError("device out of memory"); };
  harness.Round();
  EXPECT_TRUE(absl::IsResourceExhausted(*harness.record(1).failed));
  EXPECT_EQ(GetRetryDelay(*harness.record(1).failed), kDefaultRetryDelay);
}

TEST(EngineCoreTest, NonFiniteLogitsEndOneRequestAndForgetItsPrefix) {
  const std::vector<int32_t> second = TokensAlone(MakeRequest(Picture(1, 2), 9));
  CoreHarness harness;
  harness.Add(MakeRequest(Picture(1, 1), 20));
  harness.Add(MakeRequest(Picture(1, 2), 9));
  harness.runner.non_finite = [&harness](const SequenceStep& step) {
    return step.sequence == 1 && harness.record(1).tokens.size() == 4;
  };
  while (!harness.record(1).ended()) EXPECT_NE(harness.Round().step_succeeded, false);
  EXPECT_TRUE(absl::IsInternal(*harness.record(1).failed));
  ASSERT_FALSE(harness.record(2).ended());
  // Sequence 2 goes on with the prefix they share, but nobody gets it anew.
  harness.Add(MakeRequest(Picture(1, 3), 2));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(2).tokens, second);
  EXPECT_EQ(harness.record(3).started->cached_tokens, 0);
  EXPECT_EQ(harness.runner.counts().encoded_images, 2);
  harness.Round();
  EXPECT_EQ(harness.core.scheduler().pool().num_tainted(), 0);
}

TEST(EngineCoreTest, FailedChunkEndsTheSequenceWhateverItsLaterChunksSay) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
  harness.Add(MakeRequest(Picture(1), 6));
  harness.runner.non_finite = [](const SequenceStep& step) { return step.begin == 8; };
  harness.Add(MakeRequest(PromptBuilder().Text(3, 1).Build(), 6));
  harness.Round();
  EXPECT_EQ(harness.last_plan, "1[0,8)+image0 1[8,16) 1[16,21) 1[21,27) 2[0,3)");
  EXPECT_TRUE(absl::IsInternal(*harness.record(1).failed));
  EXPECT_THAT(harness.record(2).tokens, SizeIs(1)) << "its result came after the failed ones";
  harness.RunUntilIdle();
}

TEST(EngineCoreTest, ResultsOfAWrongSizeAreAFaultNotACrash) {
  const std::function<void(StepOutput&)> edits[] = {
      [](StepOutput& output) { output.results.clear(); },
      [](StepOutput& output) { output.results.back().measures.pop_back(); },
      [](StepOutput& output) { output.results.back().rows.clear(); },
      [](StepOutput& output) { output.results.back().token.reset(); },
  };
  for (const auto& edit : edits) {
    CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
    harness.Add(MakeRequest(Picture(1), 6, kOn));
    harness.runner.edit_output = edit;
    harness.Round();
    ASSERT_TRUE(harness.record(1).failed.has_value());
    EXPECT_TRUE(absl::IsInternal(*harness.record(1).failed));
    harness.RunUntilIdle();
  }
}

}  // namespace
}  // namespace varserve::engine
