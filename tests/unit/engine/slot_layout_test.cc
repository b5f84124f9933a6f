#include "server/engine/slot_layout.h"

#include "gtest/gtest.h"

namespace varserve::engine {
namespace {

TEST(SlotLayoutTest, PadsThePrefixToWholeBlocks) {
  struct Case {
    int prefix_size;
    int padding;
    int blocks_of_20_tokens;
  };
  for (const Case& c : {Case{1, 3, 6}, Case{4, 0, 5}, Case{5, 3, 6}, Case{7, 1, 6}, Case{20, 0, 5}}) {
    const SlotLayout layout(c.prefix_size, 4);
    EXPECT_EQ(layout.padding(), c.padding) << c.prefix_size;
    EXPECT_EQ(layout.NumBlocks(20), c.blocks_of_20_tokens) << c.prefix_size;
    EXPECT_EQ(layout.NumBlocks(0), 0);
  }
}

TEST(SlotLayoutTest, BlocksPartitionTheTokens) {
  for (int prefix_size = 1; prefix_size <= 12; ++prefix_size) {
    const SlotLayout layout(prefix_size, 4);
    int expected = 0;  // first token of the next block
    for (int block = 0; block < 6; ++block) {
      EXPECT_EQ(layout.FirstToken(block), expected) << prefix_size << " " << block;
      for (int position = layout.FirstToken(block); position < layout.FirstToken(block + 1); ++position) {
        EXPECT_EQ(layout.SlotOf(position) / 4, block) << prefix_size << " " << position;
        ++expected;
      }
    }
  }
}

}  // namespace
}  // namespace varserve::engine
