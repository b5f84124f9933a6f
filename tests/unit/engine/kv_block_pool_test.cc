#include "server/engine/kv_block_pool.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varserve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

Digest Key(uint8_t id) {
  Digest key{};
  key[0] = id;
  return key;
}

// Takes a block, publishes it under Key(id), and lets it go.
BlockId Cache(KvBlockPool& pool, uint8_t id) {
  const BlockId block = pool.Allocate();
  pool.Publish(block, Key(id));
  pool.Release(block);
  return block;
}

TEST(KvBlockPoolTest, UnpublishedBlockIsFreeAfterItsLastHolder) {
  KvBlockPool pool(2, 2);
  const BlockId block = pool.Allocate();
  EXPECT_EQ(pool.num_held(), 1);
  pool.Hold(block);
  pool.Release(block);
  EXPECT_EQ(pool.num_held(), 1);
  pool.Release(block);
  EXPECT_EQ(pool.num_held(), 0);
  EXPECT_EQ(pool.num_free(), 2);
}

TEST(KvBlockPoolTest, PublishedBlockIsFoundWhileHeldAndAfterwards) {
  KvBlockPool pool(2, 2);
  const BlockId block = pool.Allocate();
  EXPECT_FALSE(pool.Find(Key(1)));
  pool.Publish(block, Key(1));
  EXPECT_EQ(pool.Find(Key(1)), block);
  pool.Release(block);
  EXPECT_EQ(pool.Find(Key(1)), block);
  EXPECT_EQ(pool.num_cached(), 1);
  pool.Hold(block);
  EXPECT_EQ(pool.num_cached(), 0);
  EXPECT_EQ(pool.num_holders(block), 1);
}

TEST(KvBlockPoolTest, FreeBlocksAreTakenBeforeCachedOnes) {
  KvBlockPool pool(2, 2);
  Cache(pool, 1);
  pool.Allocate();
  EXPECT_TRUE(pool.Find(Key(1)));
  pool.Allocate();
  EXPECT_FALSE(pool.Find(Key(1)));
  EXPECT_EQ(pool.num_available(), 0);
}

TEST(KvBlockPoolTest, LeastRecentlyUsedIsTakenFirst) {
  KvBlockPool pool(3, 3);
  for (const uint8_t id : {1, 2, 3}) Cache(pool, id);
  const BlockId used_again = *pool.Find(Key(1));
  pool.Hold(used_again);
  pool.Release(used_again);
  pool.Allocate();
  EXPECT_FALSE(pool.Find(Key(2)));
  pool.Allocate();
  EXPECT_FALSE(pool.Find(Key(3)));
  EXPECT_TRUE(pool.Find(Key(1)));
}

TEST(KvBlockPoolTest, KeepsAtMostMaxCached) {
  KvBlockPool pool(8, 2);
  std::vector<BlockId> blocks;
  for (uint8_t id = 1; id <= 4; ++id) {
    blocks.push_back(pool.Allocate());
    pool.Publish(blocks.back(), Key(id));
  }
  for (const BlockId block : blocks) pool.Release(block);
  EXPECT_EQ(pool.num_cached(), 2);
  EXPECT_EQ(pool.num_free(), 6);
  EXPECT_FALSE(pool.Find(Key(2)));
  EXPECT_TRUE(pool.Find(Key(3)));
  EXPECT_TRUE(pool.Find(Key(4)));
}

TEST(KvBlockPoolTest, WithoutCacheBlocksAreSharedOnlyWhileHeld) {
  KvBlockPool pool(2, 0);
  const BlockId block = pool.Allocate();
  pool.Publish(block, Key(1));
  EXPECT_TRUE(pool.Find(Key(1)));
  pool.Release(block);
  EXPECT_FALSE(pool.Find(Key(1)));
  EXPECT_EQ(pool.num_free(), 2);
}

TEST(KvBlockPoolTest, SecondBlockWithTheSameContentStaysUnknown) {
  KvBlockPool pool(2, 2);
  const BlockId first = pool.Allocate();
  const BlockId second = pool.Allocate();
  pool.Publish(first, Key(1));
  pool.Publish(second, Key(1));
  EXPECT_EQ(pool.Find(Key(1)), first);
  pool.Release(second);
  EXPECT_EQ(pool.num_free(), 1);
  pool.Release(first);
  EXPECT_EQ(pool.Find(Key(1)), first);
}

TEST(KvBlockPoolTest, TaintedBlockIsForgottenAtOnceAndClearedBeforeItIsFree) {
  KvBlockPool pool(2, 2);
  const BlockId shared = pool.Allocate();
  const BlockId own = pool.Allocate();
  pool.Publish(shared, Key(1));
  pool.Hold(shared);
  pool.Taint(shared);
  pool.Taint(own);
  pool.Release(shared);
  pool.Release(own);
  EXPECT_FALSE(pool.Find(Key(1)));
  EXPECT_THAT(pool.tainted(), ElementsAre(own));  // the other still has a holder
  EXPECT_EQ(pool.num_tainted(), 1) << "until it is cleared";
  pool.OnCleared();
  pool.Release(shared);
  EXPECT_EQ(pool.num_available(), 1);
  EXPECT_EQ(pool.num_tainted(), 1);
  EXPECT_THAT(pool.tainted(), ElementsAre(shared));
  pool.OnCleared();
  EXPECT_EQ(pool.num_free(), 2);
  EXPECT_TRUE(pool.tainted().empty());
  pool.Allocate();
  pool.Release(pool.Allocate());
  EXPECT_EQ(pool.num_tainted(), 0) << "taint does not stick to the block";
}

TEST(KvBlockPoolTest, PendingEndsWithPublishOrWithdrawalOfItsOwner) {
  KvBlockPool pool(2, 2);
  pool.Announce(Key(1), 7);
  pool.Announce(Key(1), 8);
  pool.Withdraw(Key(1), 8);
  EXPECT_TRUE(pool.IsPending(Key(1)));
  pool.Withdraw(Key(1), 7);
  EXPECT_FALSE(pool.IsPending(Key(1)));
  pool.Announce(Key(1), 8);
  pool.Publish(pool.Allocate(), Key(1));
  EXPECT_FALSE(pool.IsPending(Key(1)));
  EXPECT_EQ(pool.num_pending(), 0);
}

}  // namespace
}  // namespace varserve::engine
