#include "server/backend/torch/row_groups.h"

#include <gmock/gmock.h>

#include <vector>

namespace varserve::backend {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

constexpr int64_t kBlock = 16;

// The groups of sequences of so many slots with one row each: their sequences and slots.
std::vector<std::pair<int64_t, int64_t>> GroupsOf(const std::vector<int64_t>& slots) {
  RowBatch batch;
  for (const int64_t count : slots) {
    RowBatch::Sequence& sequence = batch.sequences.emplace_back();
    sequence.blocks.resize(count / kBlock);
    sequence.visual.resize(count);
    sequence.num_rows = 1;
    batch.rows.emplace_back().num_slots = static_cast<int32_t>(count);
  }
  std::vector<std::pair<int64_t, int64_t>> groups;
  for (const RowGroup& group : TorchRows(batch, kBlock).groups)
    groups.emplace_back(group.num_sequences, group.slots);
  return groups;
}

TEST(RowGroupsTest, SingleRowsAreTogether) {
  EXPECT_THAT(GroupsOf({64, 640, 32}), ElementsAre(Pair(3, 640)));
}

TEST(RowGroupsTest, TheirSlotsAreBounded) {
  constexpr int64_t kHalf = TorchRows::kMostSlots / 2;
  EXPECT_THAT(GroupsOf({kHalf, 32, 32}), ElementsAre(Pair(2, kHalf), Pair(1, 32)));
  EXPECT_THAT(GroupsOf({32, 3 * kHalf, 32}), ElementsAre(Pair(1, 32), Pair(1, 3 * kHalf), Pair(1, 32)));
}

}  // namespace
}  // namespace varserve::backend
