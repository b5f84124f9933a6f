#include "server/model/step_input.h"

#include <gmock/gmock.h>

#include <numeric>

namespace varserve::model {
namespace {

using ::testing::ElementsAre;

// Steps of a sequence with a prefix of 20 tokens and 15 more, in blocks of 8 slots.
class StepInputTest : public ::testing::Test {
 protected:
  StepInputTest() {
    auto prompt = std::make_shared<Prompt>();
    prompt->token_ids.resize(35);
    std::iota(prompt->token_ids.begin(), prompt->token_ids.end(), 100);
    const auto layout = std::make_shared<const ImageLayout>(16, /*placeholder=*/9, 4, 4);
    prompt->spans.push_back({.begin = 4, .end = 20, .layout = layout});
    request_.prompt = prompt;
    std::iota(blocks_.begin(), blocks_.end(), 7);
  }
  void Add(engine::SequenceId sequence, int begin, int end) {
    engine::SequenceStep& step = plan_.steps.emplace_back();
    step.sequence = sequence;
    step.request = &request_;
    step.begin = begin;
    step.end = end;
    step.blocks = blocks_;
  }
  StepInput Input() const { return {plan_, {.num_layers = 2, .block_size = 8, .mrope = false}, {}}; }

  engine::GenerationRequest request_;
  std::vector<engine::BlockId> blocks_ = std::vector<engine::BlockId>(5);
  engine::StepPlan plan_;
};

TEST_F(StepInputTest, PrefixChunksThatFollowEachOtherAreOne) {
  Add(1, 0, 8);
  Add(1, 8, 16);
  Add(1, 16, 20);
  Add(2, 4, 12);
  const StepInput input = Input();
  ASSERT_EQ(input.prefix.size(), 2);
  EXPECT_EQ(input.prefix[0].first, 0);
  EXPECT_EQ(input.prefix[0].start, 0);
  EXPECT_EQ(input.prefix[0].count, 20);
  EXPECT_THAT(input.prefix_blocks[0], ElementsAre(7, 8, 9));
  EXPECT_EQ(input.prefix[1].first, 20);
  EXPECT_EQ(input.prefix[1].start, 4);
  EXPECT_EQ(input.prefix[1].count, 8);
  EXPECT_THAT(input.prefix_blocks[1], ElementsAre(7, 8));
  EXPECT_EQ(input.places[1].first, 8) << "each step still knows its tokens";
  EXPECT_EQ(input.places[2].first, 16);
}

TEST_F(StepInputTest, RowsOfChunksThatFollowEachOtherAreOneSequence) {
  Add(1, 16, 20);
  Add(1, 20, 24);
  Add(1, 24, 30);
  Add(2, 30, 31);
  const StepInput input = Input();
  ASSERT_EQ(input.prefix.size(), 1);
  EXPECT_EQ(input.prefix[0].first, 11) << "after the rows";
  EXPECT_EQ(input.prefix[0].count, 4);
  ASSERT_EQ(input.batch.sequences.size(), 2);
  EXPECT_EQ(input.batch.sequences[0].num_rows, 10);
  EXPECT_EQ(input.batch.sequences[0].blocks.size(), 5);
  EXPECT_EQ(input.batch.sequences[1].num_rows, 1);
  ASSERT_EQ(input.batch.rows.size(), 11);
  EXPECT_EQ(input.batch.rows[9].sequence, 0);
  EXPECT_EQ(input.batch.rows[9].num_slots, 34) << "position 29, after 4 empty slots";
  EXPECT_EQ(input.batch.rows[10].sequence, 1);
  EXPECT_EQ(input.places[2].first, 4);
}

}  // namespace
}  // namespace varserve::model
