// Policy of the scheduler, seen through the plans it makes.
#include "server/engine/scheduler.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::ElementsAre;

// SmallFacts: blocks of 4 slots, chunks of 8 tokens, 64 blocks.
ModelFacts FactsWithBlocks(int num_kv_blocks) {
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.num_kv_blocks = num_kv_blocks;
  return facts;
}

// 21 tokens of prefix in 6 blocks, and a question of 6 tokens.
TEST(SchedulerTest, DecodesAllThatIsPastPrefillBesidesAChunkOfPrefill) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 8});
  harness.Add(MakeRequest(PromptBuilder().Text(3, 1).Build(), 20));
  harness.Add(MakeRequest(PromptBuilder().Text(4, 2).Build(), 20));
  EXPECT_THAT(harness.Plans(2), ElementsAre("1[0,3) 2[0,4)", "1[3,4) 2[4,5)"));
  harness.Add(MakeRequest(PromptBuilder().Text(20, 3).Build(), 20));
  EXPECT_THAT(harness.Plans(4), ElementsAre("1[4,5) 2[5,6) 3[0,8)", "1[5,6) 2[6,7) 3[8,16)",
                                            "1[6,7) 2[7,8) 3[16,20)", "1[7,8) 2[8,9) 3[20,21)"));
}

TEST(SchedulerTest, PacksShortChunksWhileTheBudgetLasts) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 16});
  harness.Add(MakeRequest(PromptBuilder().Text(3, 1).Build(), 20));
  harness.Add(MakeRequest(PromptBuilder().Text(12, 2).Build(), 20));
  harness.Add(MakeRequest(PromptBuilder().Text(8, 3).Build(), 20));
  EXPECT_THAT(harness.Plans(2), ElementsAre("1[0,3) 3[0,8)", "1[3,4) 3[8,9) 2[0,8) 2[8,12)"));
}

TEST(SchedulerTest, FirstChunkRunsWhateverItCosts) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 1});
  harness.Add(MakeRequest(PromptBuilder().Text(12, 1).Build(), 20));
  harness.Add(MakeRequest(PromptBuilder().Text(1, 2).Build(), 20));
  EXPECT_THAT(harness.Plans(3), ElementsAre("1[0,8)", "2[0,1)", "2[1,2) 1[8,12)"));
}

TEST(SchedulerTest, DefaultBudgetIsOneChunk) {
  CoreHarness harness;
  harness.Add(MakeRequest(PromptBuilder().Text(20).Build(), 20));
  EXPECT_THAT(harness.Plans(3), ElementsAre("1[0,8)", "1[8,16)", "1[16,20)"));
}

TEST(SchedulerTest, TakesMoreWhereNothingDecodes) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 8, .idle_prefill_budget = 16});
  harness.Add(MakeRequest(PromptBuilder().Text(20, 1).Build(), 3));
  EXPECT_THAT(harness.Plans(2), ElementsAre("1[0,8) 1[8,16)", "1[16,20)"));
  harness.Add(MakeRequest(PromptBuilder().Text(20, 2).Build(), 3));
  EXPECT_THAT(harness.Plans(2), ElementsAre("1[20,21) 2[0,8)", "1[21,22) 2[8,16)"));
}

TEST(SchedulerTest, ImageCostsItsVisualTokens) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 26});
  harness.Add(MakeRequest(PicturePrompt(1), 20));
  // 8 + 16 of 26, the next chunk does not fit; then 8 + 5 + 6.
  EXPECT_THAT(harness.Plans(3), ElementsAre("1[0,8)+image0", "1[8,16) 1[16,21) 1[21,27)", "1[27,28)"));
}

TEST(SchedulerTest, EncodesOneImageAStep) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 1000});
  harness.Add(MakeRequest(PromptBuilder().Text(5, 1).Image(1, 4, 4).Build(), 20));
  harness.Add(MakeRequest(PromptBuilder().Text(5, 2).Image(2, 4, 4).Build(), 20));
  EXPECT_THAT(harness.Plans(2),
              ElementsAre("1[0,8)+image0 1[8,16) 1[16,21)", "1[21,22) 2[0,8)+image0 2[8,16) 2[16,21)"));
}

TEST(SchedulerTest, ChunkThatNeedsTwoImagesRunsAlone) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 1000});
  harness.Add(
      MakeRequest(PromptBuilder().Text(1).Image(1, 1, 2).Image(2, 1, 2).Text(3).Image(3, 2, 2).Build(), 20));
  EXPECT_THAT(harness.Plans(3), ElementsAre("1[0,5)+image0+image1", "1[5,12)+image2", "1[12,13)"));
}

TEST(SchedulerTest, KeepsToMaxRunning) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.max_running = 2, .prefill_budget = 100});
  for (int i = 0; i < 4; ++i) harness.Add(MakeRequest(PromptBuilder().Text(3, i).Build(), i == 0 ? 2 : 4));
  EXPECT_THAT(harness.Plans(5), ElementsAre("1[0,3) 2[0,3)", "1[3,4) 2[3,4)", "2[4,5) 3[0,3)",
                                            "2[5,6) 3[3,4)", "3[4,5) 4[0,3)"));
}

TEST(SchedulerTest, ChunkThatDoesNotFitLetsSmallerOnesPass) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 16});
  harness.Add(MakeRequest(PicturePrompt(1), 20));  // its first chunk costs 8 and 16 for the image
  harness.Add(MakeRequest(PromptBuilder().Text(30, 2).Build(), 20));
  // The second step begins with the shorter prompt; the third with the older one, which is the picture's.
  EXPECT_THAT(harness.Plans(3), ElementsAre("1[0,8)+image0", "1[8,16) 1[16,21)", "1[21,27) 2[0,8)"));
}

TEST(SchedulerTest, SmallerOnesPassTheOneThatWaitsForMemory) {
  CoreHarness harness(FactsWithBlocks(10), {.prefill_budget = 100});
  harness.Add(MakeRequest(PromptBuilder().Text(4, 1).Build(), 13));  // 4 blocks
  harness.Add(MakeRequest(PromptBuilder().Text(4, 2).Build(), 25));  // 7 blocks
  harness.Add(MakeRequest(PromptBuilder().Text(4, 3).Build(), 1));   // 1 block
  EXPECT_EQ(harness.Plans(1)[0], "1[0,4) 3[0,4)");
  for (int i = 0; i < 12; ++i) {
    harness.Round();
    EXPECT_EQ(harness.core.scheduler().waiting().size(), 1U);
  }
  EXPECT_EQ(harness.Plans(1)[0], "2[0,4)");
  harness.RunUntilIdle();
}

TEST(SchedulerTest, HitsNeedNoNewBlocksButTakeThemFromTheCache) {
  // Picture with 3 generated tokens: 6 + 2 blocks. Of ten, a second question to the held prefix needs only
  // two more.
  CoreHarness harness(FactsWithBlocks(10), {.prefill_budget = 100});
  harness.Add(MakeRequest(PicturePrompt(1, 0), 3));
  harness.Add(MakeRequest(PicturePrompt(1, 1), 3));
  EXPECT_EQ(harness.Plans(1)[0], "1[0,8)+image0 1[8,16) 1[16,21) 1[21,27)");
  EXPECT_EQ(harness.Plans(1)[0], "1[27,28) 2[21,27)");
  harness.RunUntilIdle();
  // Nobody holds the prefix now, so reviving it takes 6 of the available blocks. One is taken, 3 are left: a
  // suffix of 12 tokens fits, one of 13 has to wait.
  harness.Add(MakeRequest(PromptBuilder().Text(3).Build(), 1));
  harness.Add(MakeRequest(PicturePrompt(1, 2), 8));
  harness.Round();
  EXPECT_EQ(harness.core.scheduler().waiting().size(), 1U);
  harness.RunUntilIdle();
  harness.Add(MakeRequest(PromptBuilder().Text(3).Build(), 1));
  harness.Add(MakeRequest(PicturePrompt(1, 2), 7));
  harness.Round();
  EXPECT_EQ(harness.core.scheduler().waiting().size(), 0U);
  harness.RunUntilIdle();
}

TEST(SchedulerTest, PrefixAskedForByManyIsComputedOnce) {
  CoreHarness harness;
  for (int question = 0; question < 3; ++question) harness.Add(MakeRequest(PicturePrompt(1, question), 2));
  harness.Add(MakeRequest(PromptBuilder().Text(8, 9).Build(), 8));
  EXPECT_THAT(harness.Plans(5), ElementsAre("1[0,8)+image0", "4[0,8)", "4[8,9) 1[8,16)", "4[9,10) 1[16,21)",
                                            "4[10,11) 1[21,27)"));
  EXPECT_EQ(harness.core.scheduler().running().size(), 4U);
  harness.RunUntilIdle();
  EXPECT_EQ(harness.runner.counts().encoded_images, 1);
  EXPECT_EQ(harness.runner.counts().prefill_tokens, 21 + 3 * 6 + 8);
  EXPECT_EQ(harness.record(1).started->cached_tokens, 0);
  EXPECT_EQ(harness.record(2).started->cached_tokens, 21);
  EXPECT_EQ(harness.record(3).started->cached_tokens, 21);
}

TEST(SchedulerTest, LaterRequestsPassOneThatWaitsForAPrefix) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 8});
  harness.Add(MakeRequest(PicturePrompt(1, 0), 20));
  harness.Add(MakeRequest(PicturePrompt(1, 1), 20));
  harness.Add(MakeRequest(PromptBuilder().Text(3, 9).Build(), 20));
  harness.Plans(1);
  ASSERT_EQ(harness.core.scheduler().waiting().size(), 1U);
  EXPECT_EQ(harness.core.scheduler().waiting()[0]->id, 2U);
  EXPECT_TRUE(harness.record(3).started.has_value());
  EXPECT_THAT(harness.Plans(3), ElementsAre("3[0,3)", "3[3,4) 1[8,16)", "3[4,5) 1[16,21)"));
  harness.RunUntilIdle();
}

TEST(SchedulerTest, PrefixWhoseHolderIsCancelledIsFinishedByTheNextInLine) {
  CoreHarness harness;
  for (int question = 0; question < 3; ++question) harness.Add(MakeRequest(PicturePrompt(1, question), 2));
  EXPECT_THAT(harness.Plans(2), ElementsAre("1[0,8)+image0", "1[8,16)"));
  EngineCore::Round round;
  harness.core.Fail(1, absl::CancelledError("test"), round);
  // Its four complete blocks are used; the image is encoded again, its features went with the holder.
  EXPECT_THAT(harness.Plans(2), ElementsAre("2[16,21)+image0", "2[21,27)"));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(2).started->cached_tokens, 16);
  EXPECT_EQ(harness.record(3).started->cached_tokens, 21);
  EXPECT_EQ(harness.runner.counts().encoded_images, 2);
}

TEST(SchedulerTest, WaiterWithItsOwnQuestionIsNotHeldUpByASuffixUnderWay) {
  // Without a picture the first 8 tokens are all they share; the second waits for those two blocks, not for
  // more.
  CoreHarness harness;
  harness.Add(MakeRequest(PromptBuilder().Text(8, 1).Text(16, 2).Build(), 2));
  harness.Add(MakeRequest(PromptBuilder().Text(8, 1).Text(16, 3).Build(), 2));
  EXPECT_THAT(harness.Plans(2), ElementsAre("1[0,8)", "1[8,16)"));
  EXPECT_EQ(harness.record(2).started->cached_tokens, 8);
  harness.RunUntilIdle();
}

// Tokens of the second request's prompt that come from the cache.
int CachedBySecond(CoreHarness& harness, GenerationRequest first, GenerationRequest second) {
  harness.Add(std::move(first));
  harness.RunUntilIdle();
  const SequenceId id = harness.Add(std::move(second));
  harness.RunUntilIdle();
  return harness.record(id).started->cached_tokens;
}

TEST(SchedulerTest, SharesWhatTheVarSettingCannotChange) {
  struct Case {
    VarSettings first;
    VarSettings second;
    int cached;
  };
  // 27 prompt tokens: 21 of prefix, one full block after it.
  const Case cases[] = {{kOff, kOff, 25},        {kOn, kOn, 25},         {kObserve, kObserve, 25},
                        {kOff, kOn, 21},         {kOn, kOff, 21},        {kOff, kObserve, 21},
                        {kObserve, kOn, 21},     {kOn, kOnOtherTau, 21}, {kOn, kAuthors, 21},
                        {kAuthors, kAuthors, 25}};
  for (size_t i = 0; i < std::size(cases); ++i) {
    CoreHarness harness;
    EXPECT_EQ(CachedBySecond(harness, MakeRequest(PicturePrompt(1), 2, cases[i].first),
                             MakeRequest(PicturePrompt(1), 2, cases[i].second)),
              cases[i].cached)
        << i;
  }
}

TEST(SchedulerTest, OtherPictureWithTheSameIdsIsNotTakenForIt) {
  CoreHarness harness;
  EXPECT_EQ(CachedBySecond(harness, MakeRequest(PicturePrompt(1), 2), MakeRequest(PicturePrompt(2), 2)), 4);
  EXPECT_EQ(harness.runner.counts().encoded_images, 2);
}

TEST(SchedulerTest, AnswerIsFoundByThePromptThatContinuesIt) {
  struct Case {
    VarSettings var;
    int cached;
  };
  VarSettings authors_off = kAuthors;
  authors_off.mode = Mode::kOff;
  VarSettings authors_observe = kAuthors;
  authors_observe.mode = Mode::kObserve;
  // 27 + 9 tokens computed, 21 of them prefix: three full blocks after it, of which the prompt fills one.
  for (const Case& c : {Case{kOff, 33}, Case{kOn, 33}, Case{kObserve, 33}, Case{authors_off, 33},
                        Case{kAuthors, 25}, Case{authors_observe, 25}}) {
    CoreHarness harness;
    harness.Add(MakeRequest(PicturePrompt(1), 10, c.var));
    harness.RunUntilIdle();
    const auto continued =
        PromptBuilder().Text(5).Image(1, 4, 4).Text(6).Tokens(harness.record(1).tokens).Text(3, 7).Build();
    harness.Add(MakeRequest(continued, 2, c.var));
    harness.RunUntilIdle();
    EXPECT_EQ(harness.record(2).started->cached_tokens, c.cached);
  }
}

TEST(SchedulerTest, CacheIsBoundedAndLosesTheEndOfAChainFirst) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefix_cache_blocks = 4});
  EXPECT_EQ(CachedBySecond(harness, MakeRequest(PicturePrompt(1), 2), MakeRequest(PicturePrompt(1), 2)), 16);
  EXPECT_EQ(harness.core.scheduler().pool().num_cached(), 4);
}

TEST(SchedulerTest, CacheGivesWayToRunningSequences) {
  CoreHarness harness(FactsWithBlocks(8));
  harness.Add(MakeRequest(PicturePrompt(1), 2));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.core.scheduler().pool().num_cached(), 7);
  harness.Add(MakeRequest(PromptBuilder().Text(20, 5).Build(), 9));  // 7 blocks
  harness.RunUntilIdle();
  harness.Add(MakeRequest(PicturePrompt(1), 2));
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(3).started->cached_tokens, 4) << "the first block of the chain was used last";
}

}  // namespace
}  // namespace varserve::engine
