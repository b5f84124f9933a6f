// How requests end, and what is said of them; round by round, without a thread.
#include "server/engine/engine_core.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(EngineCoreTest, EndsAtMaxTokens) {
  CoreHarness harness;
  harness.Add(MakeRequest(PicturePrompt(1), 7));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(1).finish, FinishReason::kLength);
  EXPECT_THAT(harness.record(1).tokens, SizeIs(7));
}

TEST(EngineCoreTest, EndsAtTheContext) {
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.context = 30;
  CoreHarness harness(facts);
  harness.Add(MakeRequest(PicturePrompt(1), 100));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(1).finish, FinishReason::kLength);
  EXPECT_THAT(harness.record(1).tokens, SizeIs(3));
}

TEST(EngineCoreTest, EndOfSequenceTokenIsNotPartOfTheAnswer) {
  const std::vector<int32_t> tokens = TokensAlone(MakeRequest(PicturePrompt(1), 10));
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.eos_token_ids = {tokens[6], tokens[4]};
  const auto eos = std::find_first_of(tokens.begin(), tokens.end(), facts.eos_token_ids.begin(),
                                      facts.eos_token_ids.end());
  CoreHarness harness(facts);
  GenerationRequest request = MakeRequest(PicturePrompt(1), 10, kObserve);
  request.sampling.ignore_eos = false;
  harness.Add(request);
  harness.Add(MakeRequest(PicturePrompt(1), 10));
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
  harness.Add(MakeRequest(PicturePrompt(1), 10), stop_at_3);
  harness.Add(MakeRequest(PicturePrompt(2), 3), stop_at_3);
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(1).finish, FinishReason::kStopString);
  EXPECT_THAT(harness.record(1).tokens, SizeIs(3));
  EXPECT_EQ(harness.record(2).finish, FinishReason::kStopString) << "although it is the last token anyway";
}

TEST(EngineCoreTest, OnlyMeasuredRequestsGetAReport) {
  CoreHarness harness;
  GenerationRequest with_maps = MakeRequest(PicturePrompt(1), 3, kOn);
  with_maps.map_layers = {1};
  harness.Add(with_maps);
  harness.Add(MakeRequest(PicturePrompt(1), 3, kOff));
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
  GenerationRequest request = MakeRequest(PicturePrompt(1), 40, kOn);
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
  harness.Add(MakeRequest(PicturePrompt(1), 3, kOn));
  harness.clock.Advance(absl::Seconds(1));
  harness.Add(MakeRequest(PicturePrompt(1), 3));
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
    GenerationRequest request = MakeRequest(PicturePrompt(1), 3);
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
  harness.Add(MakeRequest(PicturePrompt(1), 1));
  harness.Add(MakeRequest(PicturePrompt(1), 1));
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

}  // namespace
}  // namespace varserve::engine
