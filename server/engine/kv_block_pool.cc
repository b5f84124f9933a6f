#include "server/engine/kv_block_pool.h"

#include <cassert>

namespace varserve::engine {

KvBlockPool::KvBlockPool(int num_blocks, int max_cached) : max_cached_(max_cached), blocks_(num_blocks) {
  free_.reserve(num_blocks);
  for (BlockId block = num_blocks - 1; block >= 0; --block) free_.push_back(block);
}

std::optional<BlockId> KvBlockPool::Find(const Digest& key) const {
  const auto it = by_key_.find(key);
  if (it == by_key_.end()) return std::nullopt;
  return it->second;
}

void KvBlockPool::Hold(BlockId id) {
  Block& block = blocks_[id];
  assert(block.holders > 0 || IsCached(block));
  if (IsCached(block)) cached_.erase(block.cached);
  ++block.holders;
}

BlockId KvBlockPool::Allocate() {
  assert(num_available() > 0);
  BlockId id;
  if (!free_.empty()) {
    id = free_.back();
    free_.pop_back();
  } else {
    id = cached_.front();
    cached_.pop_front();
    Forget(blocks_[id]);
  }
  blocks_[id].holders = 1;
  return id;
}

void KvBlockPool::Release(BlockId id) {
  Block& block = blocks_[id];
  assert(block.holders > 0);
  if (--block.holders > 0) return;
  if (block.tainted) {
    tainted_.push_back(id);
  } else if (block.key) {
    block.cached = cached_.insert(cached_.end(), id);
    if (num_cached() > max_cached_) {
      const BlockId oldest = cached_.front();
      cached_.pop_front();
      Forget(blocks_[oldest]);
      free_.push_back(oldest);
    }
  } else {
    free_.push_back(id);
  }
}

void KvBlockPool::Publish(BlockId id, const Digest& key) {
  assert(blocks_[id].holders > 0 && !blocks_[id].key && !blocks_[id].tainted);
  pending_.erase(key);
  if (by_key_.try_emplace(key, id).second) blocks_[id].key = key;
}

void KvBlockPool::Taint(BlockId id) {
  assert(blocks_[id].holders > 0);
  Forget(blocks_[id]);
  blocks_[id].tainted = true;
}

void KvBlockPool::OnCleared() {
  for (const BlockId id : tainted_) blocks_[id].tainted = false;
  free_.insert(free_.end(), tainted_.begin(), tainted_.end());
  tainted_.clear();
}

void KvBlockPool::Withdraw(const Digest& key, SequenceId owner) {
  const auto it = pending_.find(key);
  if (it != pending_.end() && it->second == owner) pending_.erase(it);
}

void KvBlockPool::Forget(Block& block) {
  if (block.key) by_key_.erase(*block.key);
  block.key.reset();
}

}  // namespace varserve::engine
