// Nobody starves, whatever others send: whose turn it is at admission and in prefill.
#include <map>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::Lt;

GenerationRequest Of(const std::string& caller, GenerationRequest request) {
  request.caller = caller;
  return request;
}

GenerationRequest Text(const std::string& caller, int size, int seed, int max_tokens) {
  return Of(caller, MakeRequest(PromptBuilder().Text(size, seed).Build(), max_tokens));
}

ModelFacts FactsWithBlocks(int num_kv_blocks) {
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.num_kv_blocks = num_kv_blocks;
  return facts;
}

// The callers of the running sequences, in order of admission.
std::vector<std::string> Running(const CoreHarness& harness) {
  std::vector<std::string> callers;
  for (const Sequence* sequence : harness.core.scheduler().running())
    callers.push_back(sequence->request.caller);
  return callers;
}

TEST(FairnessTest, CallersTakeTurnsAtAdmission) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.max_running = 1, .prefill_budget = 100});
  int seed = 0;
  for (int i = 0; i < 4; ++i) harness.Add(Text("hog", 3, ++seed, 1));
  for (int i = 0; i < 2; ++i) harness.Add(Text("guest", 3, ++seed, 1));
  harness.Add(Text("", 3, ++seed, 1));
  EXPECT_THAT(harness.Plans(7),
              ElementsAre("1[0,3)", "5[0,3)", "7[0,3)", "2[0,3)", "6[0,3)", "3[0,3)", "4[0,3)"));
}

TEST(FairnessTest, WhoHasTheFewestRunningIsNext) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.max_running = 4, .prefill_budget = 100});
  int seed = 0;
  for (int i = 0; i < 8; ++i) harness.Add(Text("hog", 3, ++seed, i < 2 ? 3 : 20));
  harness.Round();
  EXPECT_THAT(Running(harness), ElementsAre("hog", "hog", "hog", "hog"));
  for (int i = 0; i < 4; ++i) harness.Add(Text("guest", 3, ++seed, 20));
  for (int i = 0; i < 3; ++i) harness.Round();
  EXPECT_THAT(Running(harness), ElementsAre("hog", "hog", "guest", "guest"));
}

TEST(FairnessTest, ALimitOnWhatRunsOfACallerLeavesRoomForOthers) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.max_running = 4, .max_running_per_caller = 2});
  int seed = 0;
  for (int i = 0; i < 4; ++i) harness.Add(Text("hog", 3, ++seed, 20));
  harness.Round();
  EXPECT_THAT(Running(harness), ElementsAre("hog", "hog")) << "although nobody else is there";
  for (int i = 0; i < 3; ++i) harness.Add(Text("", 3, ++seed, 20));
  harness.Round();
  EXPECT_THAT(Running(harness), ElementsAre("hog", "hog", "", "")) << "without a name, without a limit";
  harness.RunUntilIdle();
}

TEST(FairnessTest, WhoHasNoneRunningFindsAPlaceBeyondTheBatch) {
  CoreHarness harness(FakeModelRunner::SmallFacts(),
                      {.max_running = 2, .reserved_running = 2, .prefill_budget = 100});
  int seed = 0;
  for (int i = 0; i < 4; ++i) harness.Add(Text("hog", 3, ++seed, 20));
  harness.Round();
  EXPECT_THAT(Running(harness), ElementsAre("hog", "hog"));
  for (const char* caller : {"a", "a", "b", "c"}) harness.Add(Text(caller, 3, ++seed, 20));
  harness.Round();
  EXPECT_THAT(Running(harness), ElementsAre("hog", "hog", "a", "b"));
  harness.RunUntilIdle();
}

TEST(FairnessTest, WhoHasNoneRunningFindsMemory) {
  CoreHarness harness(FactsWithBlocks(10), {.max_running = 8, .reserved_blocks = 3, .prefill_budget = 100});
  int seed = 0;
  for (int i = 0; i < 3; ++i) harness.Add(Text("hog", 4, ++seed, 8));  // 3 blocks each
  harness.Round();
  EXPECT_THAT(Running(harness), ElementsAre("hog", "hog"));
  harness.Add(Text("guest", 4, ++seed, 8));
  harness.Round();
  EXPECT_THAT(Running(harness), ElementsAre("hog", "hog", "guest"));
  harness.RunUntilIdle();
  harness.Add(Text("hog", 4, ++seed, 36));  // all 10
  harness.Round();
  EXPECT_THAT(Running(harness), ElementsAre("hog"));
  harness.RunUntilIdle();
}

TEST(FairnessTest, WhoHasMuchRunningHoldsNobodyBackWhoHasLess) {
  CoreHarness harness(FactsWithBlocks(12), {.max_running = 4, .prefill_budget = 100});
  int seed = 0;
  harness.Add(Text("hog", 4, ++seed, 40));                           // 11 blocks, for 40 steps
  const SequenceId large = harness.Add(Text("hog", 4, ++seed, 36));  // 10 blocks
  for (int i = 0; i < AdmissionQueue::kMaxPasses; ++i) {
    harness.Add(Text("hog", 3, ++seed, 1));  // one block, one step
    harness.Round();
  }
  EXPECT_EQ(harness.core.scheduler().Find(large)->times_passed, AdmissionQueue::kMaxPasses);
  const SequenceId held = harness.Add(Text("hog", 3, ++seed, 1));
  for (int i = 0; i < 10; ++i) {
    const SequenceId guest = harness.Add(Text("guest", 3, 100 + i, 1));
    harness.Round();
    EXPECT_TRUE(harness.record(guest).started.has_value()) << i;
  }
  EXPECT_FALSE(harness.record(large).started.has_value());
  EXPECT_FALSE(harness.record(held).started.has_value());
  harness.RunUntilIdle();
}

TEST(FairnessTest, SmallRequestsPassALargeOneOnlySoOften) {
  CoreHarness harness(FactsWithBlocks(10), {.max_running = 4, .prefill_budget = 100});
  harness.Add(Text("", 4, 1, 20));                           // 6 blocks, for 20 steps
  const SequenceId large = harness.Add(Text("", 4, 2, 32));  // 9 blocks
  int admitted = 0;
  for (int i = 0; i < 200 && !harness.record(large).started; ++i) {
    const SequenceId small = harness.Add(Text("", 3, 10 + i, 1));  // one block, one step
    harness.Round();
    if (harness.record(small).started) ++admitted;
  }
  EXPECT_TRUE(harness.record(large).started.has_value());
  EXPECT_EQ(admitted, AdmissionQueue::kMaxPasses);
  harness.RunUntilIdle();
}

TEST(FairnessTest, OneWhoseCallerIsAtItsLimitHoldsNobodyBack) {
  CoreHarness harness(FactsWithBlocks(10),
                      {.max_running = 4, .max_running_per_caller = 1, .prefill_budget = 100});
  harness.Add(Text("", 4, 1, 20));                            // 6 blocks
  const SequenceId large = harness.Add(Text("a", 4, 2, 32));  // 9 blocks
  for (int i = 0; i < AdmissionQueue::kMaxPasses; ++i) {
    harness.Add(Text("b", 3, 10 + i, 1));
    harness.Round();
  }
  EXPECT_EQ(harness.core.scheduler().Find(large)->times_passed, AdmissionQueue::kMaxPasses);
  const SequenceId other = harness.Add(Text("b", 3, 99, 1));
  harness.Round();
  EXPECT_FALSE(harness.record(other).started.has_value()) << "held back";
  harness.RunUntilIdle();
}

// A stream of small requests of old and new callers that never lets up, and now and then one that needs most
// of the memory, from a caller who has others running: each is admitted in the end.
class EndlessStream : public ::testing::TestWithParam<uint32_t> {};

TEST_P(EndlessStream, StarvesNobody) {
  std::mt19937 random(GetParam());
  const auto pick = [&random](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  CoreHarness harness(FactsWithBlocks(24), {.max_running = pick(6, 10),
                                            .max_running_per_caller = pick(0, 1) * 2,
                                            .reserved_running = pick(0, 4),
                                            .reserved_blocks = pick(0, 8),
                                            .prefill_budget = pick(1, 30)});
  std::map<SequenceId, int> came;  // the round in which it did, of those that wait
  int strangers = 0;
  int longest = 0;
  int large = 0;
  constexpr int kRounds = 3000;
  for (int round = 0; round < kRounds && !::testing::Test::HasFailure(); ++round) {
    while (harness.core.scheduler().waiting().size() < 12) {
      const int kind = pick(0, 19);
      const std::string caller =
          kind < 6 ? absl::StrCat("stranger ", ++strangers) : std::string(1, 'a' + kind % 4);
      const bool is_large = kind == 19;
      large += is_large;
      const int size = is_large ? pick(60, 70) : pick(1, 10);
      came[harness.Add(Text(caller, size, pick(0, 1000), is_large ? 24 : pick(5, 20)))] = round;
    }
    harness.Round();
    for (auto it = came.begin(); it != came.end();) {
      longest = std::max(longest, round - it->second);
      it = harness.record(it->first).started ? came.erase(it) : std::next(it);
    }
    // A sequence runs for some tens of rounds; a large one waits for 16 admissions, then for what runs.
    ASSERT_LT(longest, 1000);
  }
  EXPECT_GT(large, 10);
  harness.RunUntilIdle();
}

INSTANTIATE_TEST_SUITE_P(Seeds, EndlessStream, ::testing::Range<uint32_t>(1, 9));

// Steps until the first token of a question of one chunk on a cached picture that comes while a prompt of
// 4000 tokens is computed, after `before` steps of that.
int StepsToFirstToken(int before, const std::string& long_caller, const std::string& short_caller) {
  ModelFacts facts = FactsWithBlocks(2000);
  facts.context = 4200;
  CoreHarness harness(facts, {.prefill_budget = 8, .idle_prefill_budget = 16});
  harness.Add(MakeRequest(PicturePrompt(1, 0), 1));
  harness.RunUntilIdle();
  const SequenceId longer = harness.Add(Text(long_caller, 4000, 7, 4));
  for (int i = 0; i < before; ++i) harness.Round();
  const SequenceId shorter = harness.Add(Of(short_caller, MakeRequest(PicturePrompt(1, 1), 4)));
  int steps = 0;
  while (harness.record(shorter).tokens.empty()) {
    harness.Round();
    ++steps;
  }
  EXPECT_GE(harness.record(shorter).started->cached_tokens, 21);
  harness.RunUntilIdle();
  EXPECT_EQ(harness.record(longer).tokens.size(), 4U);
  return steps;
}

TEST(FairnessTest, AShortQuestionDoesNotWaitForALongPrompt) {
  for (int before = 0; before < 6; ++before) {
    EXPECT_LE(StepsToFirstToken(before, "a", "a"), 3);
    EXPECT_LE(StepsToFirstToken(before, "a", "b"), 3);
  }
}

TEST(FairnessTest, PromptsOfOneLengthOfACallerComeOneAfterTheOther) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 8});
  harness.Add(Text("a", 16, 1, 1));
  harness.Add(Text("a", 16, 2, 1));
  EXPECT_THAT(harness.Plans(4), ElementsAre("1[0,8)", "1[8,16)", "2[0,8)", "2[8,16)"));
}

TEST(FairnessTest, ACallersPromptDoesNotWaitForAllOfAnother) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 8});
  for (int i = 0; i < 5; ++i) harness.Add(Text("hog", 24, i, 1));
  harness.Round();
  harness.Add(Text("guest", 24, 9, 1));
  // Every other chunk is the guest's.
  EXPECT_THAT(harness.Plans(6),
              ElementsAre("6[0,8)", "1[8,16)", "6[8,16)", "1[16,24)", "6[16,24)", "2[0,8)"));
}

TEST(FairnessTest, AStreamOfShortQuestionsDoesNotStopALongPrompt) {
  CoreHarness harness(FakeModelRunner::SmallFacts(), {.prefill_budget = 8});
  const SequenceId longer = harness.Add(Text("a", 160, 1, 1));
  int steps = 0;
  for (; !harness.record(longer).ended(); ++steps) {
    for (int i = 0; i < 2; ++i) harness.Add(Text("b", 8, 100 + 2 * steps + i, 1));
    harness.Round();
    ASSERT_THAT(steps, Lt(200));
  }
  EXPECT_LE(steps, 2 * 20) << "every other step is its own";
  harness.RunUntilIdle();
}

}  // namespace
}  // namespace varserve::engine
