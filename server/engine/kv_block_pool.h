// Integer accounting of the KV pool: how many sequences hold a block, which blocks have content that can be
// found, and which are free. Knows no tensors. Thread-compatible.
//
// Every block is in exactly one state:
//   held     by one or more sequences; can be found by its key once published
//   cached   held by none; can be found until it is reused, least recently used first
//   free     its content is not used
//   tainted  held by none, but may contain values that are not finite: must be cleared first
// A key is also *pending* while the sequence that announced it computes the block, so that others can wait
// for it.
#pragma once

#include <list>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "server/base/prompt.h"
#include "server/engine/slot_layout.h"
#include "server/engine/step_plan.h"

namespace varserve::engine {

class KvBlockPool {
 public:
  KvBlockPool(int num_blocks, int max_cached);

  // The held or cached block that was published under `key`.
  std::optional<BlockId> Find(const Digest& key) const;
  // Adds a holder to a held or cached block.
  void Hold(BlockId block);
  // Takes a free block, or else the least recently used cached one, for one holder. REQUIRES: num_available()
  // > 0.
  BlockId Allocate();
  // Removes a holder. Without holders, a published block becomes cached (at most max_cached are), any other
  // block free.
  void Release(BlockId block);

  // Makes a held block available under `key`, unless another block already has this key.
  void Publish(BlockId block, const Digest& key);
  // A held block's content must not be used any more: it can no longer be found, and is tainted once no
  // sequence holds it.
  void Taint(BlockId block);
  // The tainted blocks. OnCleared makes them free.
  const std::vector<BlockId>& tainted() const { return tainted_; }
  void OnCleared();

  bool IsPending(const Digest& key) const { return pending_.contains(key); }
  // The sequence that announced the key; nullopt if none has.
  std::optional<SequenceId> OwnerOf(const Digest& key) const {
    const auto it = pending_.find(key);
    return it == pending_.end() ? std::nullopt : std::optional(it->second);
  }
  // `owner` is going to publish `key`. No effect if the key is already pending.
  void Announce(const Digest& key, SequenceId owner) { pending_.try_emplace(key, owner); }
  // `owner` gave up. No effect if another sequence announced `key`.
  void Withdraw(const Digest& key, SequenceId owner);

  int num_holders(BlockId block) const { return blocks_[block].holders; }
  int num_available() const { return num_free() + num_cached(); }
  int num_free() const { return static_cast<int>(free_.size()); }
  int num_cached() const { return static_cast<int>(cached_.size()); }
  int num_tainted() const { return static_cast<int>(tainted_.size()); }
  int num_pending() const { return static_cast<int>(pending_.size()); }
  int num_blocks() const { return static_cast<int>(blocks_.size()); }
  int num_held() const { return num_blocks() - num_free() - num_cached() - num_tainted(); }

 private:
  struct Block {
    int holders = 0;
    bool tainted = false;
    std::optional<Digest> key;
    std::list<BlockId>::iterator cached;  // valid while cached
  };
  bool IsCached(const Block& block) const { return block.holders == 0 && block.key.has_value(); }
  void Forget(Block& block);

  const int max_cached_;
  std::vector<Block> blocks_;
  std::vector<BlockId> free_;
  std::list<BlockId> cached_;  // least recently used first
  std::vector<BlockId> tainted_;
  absl::flat_hash_map<Digest, BlockId> by_key_;
  absl::flat_hash_map<Digest, SequenceId> pending_;
};

}  // namespace varserve::engine
