#include "server/engine/sequence.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int> ChunkEnds(const Sequence& sequence, int begin, int chunk) {
  std::vector<int> ends;
  while (begin < sequence.prompt_size()) ends.push_back(begin = sequence.ChunkEnd(begin, chunk));
  return ends;
}

TEST(SequenceTest, ChunksEndAtMultiplesCountedFromZeroAndFromThePrefixEnd) {
  const ModelFacts facts = FakeModelRunner::SmallFacts();
  // Prefix [0, 21), suffix [21, 41).
  const auto image =
      MakeSequence(1, MakeRequest(PromptBuilder().Text(5).Image(1, 4, 4).Text(20).Build(), 1), facts);
  EXPECT_THAT(ChunkEnds(*image, 0, 8), ElementsAre(8, 16, 21, 29, 37, 41));
  EXPECT_THAT(ChunkEnds(*image, 12, 8), ElementsAre(16, 21, 29, 37, 41)) << "after a hit inside a chunk";
  EXPECT_THAT(ChunkEnds(*image, 21, 8), ElementsAre(29, 37, 41));
  EXPECT_THAT(ChunkEnds(*image, 33, 8), ElementsAre(37, 41));
  EXPECT_THAT(ChunkEnds(*image, 0, 64), ElementsAre(21, 41));
  const auto text = MakeSequence(2, MakeRequest(PromptBuilder().Text(17).Build(), 1), facts);
  EXPECT_THAT(ChunkEnds(*text, 0, 8), ElementsAre(8, 16, 17));
}

TEST(SequenceTest, EncodesAnImageBeforeItsFirstComputedToken) {
  const ModelFacts facts = FakeModelRunner::SmallFacts();
  // Images at [3, 7), [7, 11) and [15, 19).
  const auto prompt =
      PromptBuilder().Text(3).Image(1, 2, 2).Image(2, 2, 2).Text(4).Image(3, 2, 2).Text(3).Build();
  const auto sequence = MakeSequence(1, MakeRequest(prompt, 1), facts);
  EXPECT_THAT(sequence->ImagesToEncode(0, 3), IsEmpty());
  EXPECT_THAT(sequence->ImagesToEncode(0, 4), ElementsAre(0));
  EXPECT_THAT(sequence->ImagesToEncode(4, 7), IsEmpty()) << "encoded for the chunk before";
  EXPECT_THAT(sequence->ImagesToEncode(0, 8), ElementsAre(0, 1));
  EXPECT_THAT(sequence->ImagesToEncode(8, 19), ElementsAre(2));
  sequence->num_cached = 8;
  EXPECT_THAT(sequence->ImagesToEncode(8, 12), ElementsAre(1)) << "its first tokens came from the cache";
  sequence->num_cached = 11;
  EXPECT_THAT(sequence->ImagesToEncode(11, 16), ElementsAre(2));
  EXPECT_THAT(sequence->ImagesToEncode(19, 22), IsEmpty());
}

TEST(SequenceTest, WantsMapsUntilTheyTakeMoreThanTheLimit) {
  const ModelFacts facts = FakeModelRunner::SmallFacts();
  // Two images of 4 and 6 places: a map takes 2 * 10 floats.
  const auto prompt = PromptBuilder().Text(3).Image(1, 2, 2).Image(2, 2, 3).Text(2).Build();
  GenerationRequest request = MakeRequest(prompt, 20, kOn);
  EXPECT_FALSE(MakeSequence(1, request, facts)->wants_map()) << "no layers";
  request.map_layers = {0};
  EXPECT_TRUE(MakeSequence(1, request, facts)->wants_map());
  for (const int limit : {0, 79, 80, 239, 240, 241}) {
    request.max_map_bytes = limit;
    const auto sequence = MakeSequence(1, request, facts);
    while (sequence->wants_map()) sequence->maps.emplace_back();
    EXPECT_EQ(sequence->maps.size(), limit / 80 + 1U) << "one more than fit, for " << limit;
  }
  request.max_map_bytes = std::numeric_limits<int64_t>::max();
  EXPECT_TRUE(MakeSequence(1, request, facts)->wants_map());
  request.intervention = nullptr;
  EXPECT_FALSE(MakeSequence(1, request, facts)->wants_map()) << "nothing is measured";
}

TEST(SequenceTest, StepAsksForAMapOnlyWhereItSamplesAfterThePrefix) {
  const ModelFacts facts = FakeModelRunner::SmallFacts();
  GenerationRequest request = MakeRequest(PromptBuilder().Text(3).Image(1, 2, 2).Text(9).Build(), 20, kOn);
  request.map_layers = {0};
  const auto sequence = MakeSequence(1, request, facts);
  EXPECT_FALSE(sequence->StepOver(7, 15).map);
  EXPECT_TRUE(sequence->StepOver(7, 16).map);

  request.prompt = PromptBuilder().Text(3).Image(1, 2, 2).Build();
  EXPECT_FALSE(MakeSequence(2, request, facts)->StepOver(0, 7).map) << "the prompt ends with the picture";
}

TEST(SequenceTest, LeavesOnePromptTokenToCompute) {
  const ModelFacts facts = FakeModelRunner::SmallFacts();
  struct Case {
    PromptBuilder prompt;
    int shareable;
  };
  const Case cases[] = {
      {PromptBuilder().Text(4), 0},
      {PromptBuilder().Text(5), 1},
      {PromptBuilder().Text(8), 1},
      {PromptBuilder().Text(3).Image(1, 2, 2), 1},  // the prefix ends the prompt
      {PromptBuilder().Text(3).Image(1, 2, 2).Text(1), 2},
      {PromptBuilder().Text(3).Image(1, 2, 2).Text(4), 2},
      {PromptBuilder().Text(3).Image(1, 2, 2).Text(5), 3},
  };
  for (const Case& c : cases) {
    const auto sequence = MakeSequence(1, MakeRequest(c.prompt.Build(), 1), facts);
    EXPECT_EQ(sequence->num_shareable_blocks(), c.shareable) << sequence->prompt_size();
  }
}

TEST(SequenceTest, NeedsBlocksForAllButTheLastToken) {
  ModelFacts facts = FakeModelRunner::SmallFacts();
  const auto prompt =
      PromptBuilder().Text(3).Image(1, 2, 2).Text(4).Build();  // 8 slots of prefix, 4 of suffix
  EXPECT_EQ(MakeSequence(1, MakeRequest(prompt, 1), facts)->num_blocks(), 3);
  EXPECT_EQ(MakeSequence(1, MakeRequest(prompt, 2), facts)->num_blocks(), 4);
  EXPECT_EQ(MakeSequence(1, MakeRequest(prompt, 5), facts)->num_blocks(), 4);
  EXPECT_EQ(MakeSequence(1, MakeRequest(prompt, 6), facts)->num_blocks(), 5);
  facts.context = 12;
  const auto capped = MakeSequence(1, MakeRequest(prompt, std::numeric_limits<int>::max()), facts);
  EXPECT_EQ(capped->max_size, 12);
  EXPECT_EQ(capped->num_blocks(), 3);
}

}  // namespace
}  // namespace varserve::engine
