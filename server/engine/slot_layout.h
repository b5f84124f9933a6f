// Where a sequence's tokens are in its KV blocks.
//
// A block has `block_size` slots. The prefix (all tokens that no intervention can influence,
// Prompt::prefix_size) fills whole blocks: the slots after its last token stay empty, and the next token
// starts a new block. So a finished prefix is a list of blocks that any number of sequences can share without
// copying, whatever follows. Attention ignores empty slots.
#pragma once

#include <cstdint>

namespace varserve::engine {

// Index of a block in the KV pool.
using BlockId = int32_t;

class SlotLayout {
 public:
  SlotLayout(int prefix_size, int block_size)
      : prefix_size_(prefix_size),
        block_size_(block_size),
        padding_((block_size - prefix_size % block_size) % block_size) {}

  int prefix_size() const { return prefix_size_; }
  int block_size() const { return block_size_; }
  // Number of empty slots, from prefix_size() on.
  int padding() const { return padding_; }
  // Slot of token `position`.
  int SlotOf(int position) const { return position < prefix_size_ ? position : position + padding_; }
  // First token of block `block`; its tokens end where those of the next block begin.
  int FirstToken(int block) const {
    const int slot = block * block_size_;
    return slot < prefix_size_ ? slot : slot - padding_;
  }
  // Number of slots for the first `num_tokens` tokens, including empty ones.
  int NumSlots(int num_tokens) const { return num_tokens == 0 ? 0 : SlotOf(num_tokens - 1) + 1; }
  int NumBlocks(int num_tokens) const { return (NumSlots(num_tokens) + block_size_ - 1) / block_size_; }

 private:
  int prefix_size_;
  int block_size_;
  int padding_;
};

}  // namespace varserve::engine
