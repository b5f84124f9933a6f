// What of a step each caller has: rows that decode, and prefill.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::Each;
using ::testing::Ge;
using ::testing::Le;

GenerationRequest Text(const std::string& caller, int size, int seed, int max_tokens) {
  GenerationRequest request = MakeRequest(PromptBuilder().Text(size, seed).Build(), max_tokens);
  request.caller = caller;
  request.sampling.ignore_eos = true;
  return request;
}

// Tokens each of these sequences has after so many rounds, beyond what it has now.
std::vector<int> TokensIn(CoreHarness& harness, const std::vector<SequenceId>& sequences, int rounds) {
  std::vector<int> tokens;
  for (const SequenceId id : sequences) tokens.push_back(-static_cast<int>(harness.record(id).tokens.size()));
  for (int i = 0; i < rounds; ++i) harness.Round();
  for (size_t i = 0; i < sequences.size(); ++i)
    tokens[i] += static_cast<int>(harness.record(sequences[i]).tokens.size());
  return tokens;
}

ModelFacts FactsWithBlocks(int num_kv_blocks) {
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.num_kv_blocks = num_kv_blocks;
  return facts;
}

TEST(StepSharesTest, WhoIsAloneHasAllRows) {
  CoreHarness harness(FactsWithBlocks(400), {.max_running = 6, .prefill_budget = 100});
  std::vector<SequenceId> hogs;
  for (int i = 0; i < 6; ++i) hogs.push_back(harness.Add(Text("hog", 3, i, 30)));
  harness.Round();
  EXPECT_THAT(TokensIn(harness, hogs, 12), Each(12));
  harness.RunUntilIdle();
}

TEST(StepSharesTest, CallersHavePartsOfTheRows) {
  CoreHarness harness(FactsWithBlocks(400), {.max_running = 6, .reserved_running = 3, .prefill_budget = 100});
  std::vector<SequenceId> hogs;
  for (int i = 0; i < 6; ++i) hogs.push_back(harness.Add(Text("hog", 3, i, 60)));
  harness.Round();
  const SequenceId guest = harness.Add(Text("guest", 3, 10, 60));
  harness.Round();
  EXPECT_EQ(TokensIn(harness, {guest}, 3), std::vector<int>{3});
  // Three of six rows, in turn.
  EXPECT_THAT(TokensIn(harness, hogs, 12), Each(6));
  // With a third caller two of six.
  const SequenceId other = harness.Add(Text("other", 3, 11, 60));
  harness.Round();
  EXPECT_THAT(TokensIn(harness, hogs, 12), Each(4));
  EXPECT_GE(harness.record(other).tokens.size(), 12U);
  harness.RunUntilIdle();
}

TEST(StepSharesTest, ACallersNewRequestsDoNotStopItsOldOnes) {
  CoreHarness harness(FactsWithBlocks(400), {.max_running = 4, .prefill_budget = 100});
  harness.Add(Text("other", 3, 1, 50));
  harness.Add(Text("third", 3, 2, 50));
  harness.Round();
  const SequenceId old = harness.Add(Text("busy", 3, 3, 50));
  for (int i = 0; i < 40; ++i) {
    harness.Add(Text("busy", 3, 10 + i, 2));
    harness.Round();
  }
  EXPECT_GE(harness.record(old).tokens.size(), 12U);
  harness.RunUntilIdle();
}

enum class Beside { kNobody, kSomebody, kSomebodyWhoWaitsForIt };

// Rounds until a prompt of 4000 tokens is computed.
int RoundsOfPrefill(Beside beside) {
  ModelFacts facts = FactsWithBlocks(3000);
  facts.context = 4200;
  CoreHarness harness(facts, {.prefill_budget = 64, .idle_prefill_budget = 64});
  if (beside != Beside::kNobody) {
    const SequenceId guest = harness.Add(Text("guest", 3, 1, 1000));
    while (harness.record(guest).tokens.empty()) harness.Round();
  }
  const SequenceId hog = harness.Add(Text("hog", 4000, 2, 1));
  if (beside == Beside::kSomebodyWhoWaitsForIt) {
    harness.Round();
    harness.Add(Text("third", 4000, 2, 1));
  }
  int rounds = 0;
  for (; !harness.record(hog).ended(); ++rounds) harness.Round();
  harness.RunUntilIdle();
  return rounds;
}

TEST(StepSharesTest, LongPrefillGoesOnAsFastAsOthersDecode) {
  EXPECT_THAT(RoundsOfPrefill(Beside::kNobody), Le(4000 / 64 + 1));
  EXPECT_THAT(RoundsOfPrefill(Beside::kSomebodyWhoWaitsForIt), Le(4000 / 64 + 1));
  // A burst at full speed, then a token for a token, of which a step counts for some.
  constexpr int kRest = 4000 - PrefillTurns::kBurst - 300;
  EXPECT_THAT(RoundsOfPrefill(Beside::kSomebody), Ge(kRest / PrefillTurns::kLeastPaid));
  EXPECT_THAT(RoundsOfPrefill(Beside::kSomebody), Le(4000 / PrefillTurns::kLeastPaid));
}

}  // namespace
}  // namespace varserve::engine
