// Requests with a sibling: both sequences are admitted, run and end together.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/engine_fixture.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr SequenceId kSibling = kSiblings + 1;  // of sequence 1

GenerationRequest TextPair(int size, int sibling_size, int max_tokens) {
  return WithSibling(MakeRequest(TextPrompt(size, 1), max_tokens), TextPrompt(sibling_size, 2));
}

// SmallFacts: blocks of 4 slots, chunks of 8 tokens, 64 blocks.
TEST(SiblingTest, LastChunksAndTokensShareSteps) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
  harness.Add(TextPair(12, 20, 3));
  EXPECT_THAT(harness.Plans(3), ElementsAre("1[0,8) 1[8,12) 1001[0,8) 1001[8,16) 1001[16,20)",
                                            "1[12,13) 1001[20,21)", "1[13,14) 1001[21,22)"));
  EXPECT_TRUE(harness.idle());
  EXPECT_EQ(harness.record(1).tokens.size(), 3U);
}

TEST(SiblingTest, WhoeverIsAheadWaitsBeforeItsLastChunk) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 8});
  harness.Add(TextPair(6, 20, 2));
  EXPECT_THAT(harness.Plans(3), ElementsAre("1001[0,8)", "1001[8,16)", "1[0,6) 1001[16,20)"));
  CoreHarness other(FakeModelRunner::SmallFacts(), {.prefill_budget = 8});
  other.Add(TextPair(20, 6, 2));
  EXPECT_THAT(other.Plans(3), ElementsAre("1[0,8)", "1[8,16)", "1[16,20) 1001[0,6)"));
}

TEST(SiblingTest, ChoosesFromBothContexts) {
  const std::vector<int32_t> tokens = TokensAlone(TextPair(12, 20, 8));
  EXPECT_NE(tokens, TokensAlone(MakeRequest(TextPrompt(12, 1), 8)));
  EXPECT_NE(tokens, TokensAlone(TextPair(12, 21, 8)));
  EXPECT_EQ(tokens, TokensAlone(TextPair(12, 20, 8)));
}

// 21 tokens of prefix in 6 blocks, and a question of 6 tokens.
TEST(SiblingTest, SharesThePictureWithItsSequence) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
  harness.Add(WithSibling(MakeRequest(PicturePrompt(1, 0), 3), PicturePrompt(1, 5)));
  EXPECT_THAT(harness.Plans(2), ElementsAre("1[0,8)+image0 1[8,16) 1[16,21)", "1[21,27) 1001[21,27)"));
  EXPECT_EQ(harness.core.scheduler().pool().num_held(), 6 + 2 * 2);
  EXPECT_EQ(harness.record(1).started->cached_tokens, 0);
  EXPECT_EQ(harness.record(1).started->sibling_cached_tokens, 21);
  EXPECT_EQ(harness.runner.counts().encoded_images, 1);
  EXPECT_EQ(harness.observer.queried, 2 * 27);
  EXPECT_EQ(harness.observer.hit, 21);
  harness.RunUntilIdle();
}

TEST(SiblingTest, FindsWhatEarlierRequestsLeft) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 100});
  for (int i = 0; i < 2; ++i) {
    harness.Add(WithSibling(MakeRequest(PicturePrompt(1), 3), PicturePrompt(2)));
    harness.RunUntilIdle();
  }
  EXPECT_EQ(harness.record(1).started->sibling_cached_tokens, 4) << "the text before the picture";
  EXPECT_EQ(harness.record(2).started->sibling_cached_tokens, 25) << "all but the last block's";
  EXPECT_EQ(harness.record(2).tokens, harness.record(1).tokens);
  EXPECT_EQ(harness.runner.counts().encoded_images, 2);
}

TEST(SiblingTest, WaitsForAPrefixThatAnotherRequestComputes) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 8});
  harness.Add(MakeRequest(PicturePrompt(2), 3));
  harness.Add(WithSibling(MakeRequest(PicturePrompt(1), 3), PicturePrompt(2)));
  harness.Round();
  EXPECT_EQ(harness.core.scheduler().running().size(), 1U);
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(2).started->sibling_cached_tokens, 21);
  EXPECT_EQ(harness.runner.counts().encoded_images, 2);
}

// A prompt that is all prefix: its last chunk cannot be waited for, so nothing of it is shared.
TEST(SiblingTest, EqualPromptsDoNotWaitForEachOther) {
  CoreHarness harness;
  harness.Add(WithSibling(MakeRequest(TextPrompt(7, 1), 4), TextPrompt(7, 1)));
  harness.Add(WithSibling(MakeRequest(PromptBuilder().Text(2).Image(1, 3, 3).Build(), 4),
                          PromptBuilder().Text(2).Image(1, 3, 3).Build()));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(1).tokens.size(), 4U);
  EXPECT_EQ(harness.record(2).tokens.size(), 4U);
}

TEST(SiblingTest, EndsWithItsRequestWheneverThatIsCancelled) {
  for (int rounds = 0; rounds < 8; ++rounds) {
    CoreHarness harness;
    harness.Add(WithSibling(MakeRequest(PicturePrompt(1), 20), PicturePrompt(1, 5)));
    harness.Add(MakeRequest(PicturePrompt(1), 6));
    for (int i = 0; i < rounds; ++i) harness.Round();
    EngineCore::Round round;
    harness.core.Fail(1, absl::CancelledError("test"), round);
    EXPECT_EQ(round.ended, 1);
    harness.RunUntilIdle();  // nothing is held or stored any more
    EXPECT_TRUE(absl::IsCancelled(*harness.record(1).failed));
    EXPECT_EQ(harness.record(2).tokens, TokensAlone(MakeRequest(PicturePrompt(1), 6))) << rounds;
  }
}

TEST(SiblingTest, EndsWithItsRequestAtAStopString) {
  CoreHarness harness;
  harness.Add(TextPair(12, 20, 50),
              [](int tokens) { return tokens == 3 ? SinkVerdict::kStop : SinkVerdict::kContinue; });
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(1).finish, FinishReason::kStopString);
  EXPECT_EQ(harness.record(1).tokens.size(), 3U);
}

TEST(SiblingTest, EndsItsRequestWhereItsOwnResultIsWrong) {
  CoreHarness harness;
  harness.Add(TextPair(12, 20, 6));
  harness.Add(MakeRequest(TextPrompt(9, 3), 6));
  harness.runner.non_finite = [](const SequenceStep& step) {
    return step.sequence == kSibling && step.begin >= 21;
  };
  harness.RunUntilIdle();
  EXPECT_TRUE(absl::IsInternal(*harness.record(1).failed));
  EXPECT_EQ(harness.record(2).tokens, TokensAlone(MakeRequest(TextPrompt(9, 3), 6)));
}

TEST(SiblingTest, AFailedStepIsRepeatedWithBoth) {
  CoreHarness harness;
  harness.Add(TextPair(12, 20, 6));
  harness.Add(MakeRequest(TextPrompt(9, 3), 6));
  harness.fault = [](const StepPlan& plan) {
    return plan.steps.size() == 3 ? absl::InternalError("too many") : absl::OkStatus();
  };
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(1).tokens, TokensAlone(TextPair(12, 20, 6)));
  EXPECT_EQ(harness.record(2).tokens, TokensAlone(MakeRequest(TextPrompt(9, 3), 6)));
}

TEST(SiblingTest, GetsMemoryForBothOrNone) {
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.num_kv_blocks = 12;
  CoreHarness harness(facts, {.prefill_budget = 100});
  harness.Add(MakeRequest(TextPrompt(8, 3), 9));  // 4 blocks
  harness.Add(TextPair(8, 12, 9));                // 4 and 5
  harness.Round();
  EXPECT_EQ(harness.core.scheduler().running().size(), 1U);
  EXPECT_EQ(harness.core.scheduler().pool().num_held(), 4);
  while (!harness.record(1).ended()) harness.Round();
  harness.Round();
  EXPECT_EQ(harness.core.scheduler().pool().num_held(), 9);
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(2).tokens, TokensAlone(TextPair(8, 12, 9)));
}

TEST(SiblingTest, CountsAsTwoRows) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.max_running = 3, .prefill_budget = 100});
  harness.Add(TextPair(4, 5, 9));
  harness.Add(TextPair(6, 7, 9));
  harness.Add(MakeRequest(TextPrompt(8, 3), 9));
  harness.Round();
  EXPECT_EQ(harness.core.scheduler().NumRows(), 3);
  EXPECT_THAT(harness.core.scheduler().waiting(),
              ElementsAre(::testing::Pointee(::testing::Field(&Sequence::id, 2U))));
  EXPECT_EQ(harness.observer.loads.back().running, 2);
  EXPECT_EQ(harness.observer.loads.back().siblings, 1);
  EXPECT_EQ(harness.observer.loads.back().waiting_tokens, 6 + 7);
  harness.RunUntilIdle();
}

TEST(SiblingTest, TheLongerPromptLimitsTheAnswer) {
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.context = 24;
  CoreHarness harness(facts);
  harness.Add(TextPair(8, 20, 100));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(1).tokens.size(), 4U);
  EXPECT_EQ(harness.record(1).finish, FinishReason::kLength);
}

class SiblingEngineTest : public EngineFixture {};

TEST_F(SiblingEngineTest, RefusesWhatCanNeverRun) {
  Start();
  const absl::Status too_long = Submit(TextPair(8, 256, 4)).status;
  EXPECT_TRUE(absl::IsInvalidArgument(too_long));
  EXPECT_THAT(std::string(too_long.message()),
              HasSubstr("intervention: the sibling's prompt has 256 tokens"));
  // 64 blocks of 4 slots: one sequence fits, two do not.
  EXPECT_TRUE(Submit(MakeRequest(TextPrompt(8), 150)).status.ok());
  const absl::Status too_large = Submit(TextPair(8, 8, 150)).status;
  EXPECT_TRUE(absl::IsResourceExhausted(too_large));
  EXPECT_THAT(std::string(too_large.message()), HasSubstr("with a sibling, take 80 KV blocks"));
  StopAndCheck();

  Start({.scheduler = {.max_running = 1}});
  const absl::Status too_many = Submit(TextPair(8, 8, 4)).status;
  EXPECT_TRUE(absl::IsFailedPrecondition(too_many)) << too_many;
  StopAndCheck();
}

TEST_F(SiblingEngineTest, AnswersAsAlone) {
  Start();
  const Submitted pair = Submit(TextPair(12, 20, 6));
  const Submitted other = Submit(MakeRequest(TextPrompt(9, 3), 6));
  EXPECT_EQ(pair.sink->WaitUntilEnded().tokens, TokensAlone(TextPair(12, 20, 6)));
  EXPECT_EQ(other.sink->WaitUntilEnded().tokens, TokensAlone(MakeRequest(TextPrompt(9, 3), 6)));
  StopAndCheck();
}

}  // namespace
}  // namespace varserve::engine
