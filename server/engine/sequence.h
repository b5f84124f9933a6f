// One accepted request from submission to its end, and the arithmetic on it. Plain data, owned by the
// scheduler once handed over. Thread-compatible.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "server/base/prompt.h"
#include "server/engine/model_runner.h"
#include "server/engine/queue_policy.h"
#include "server/engine/request.h"
#include "server/engine/slot_layout.h"
#include "server/engine/step_plan.h"

namespace varserve::engine {

struct Sequence {
  // `root` is what the keys of its blocks begin with (block_key.h). REQUIRES: a prompt that is not empty and
  // leaves the context room for one token; max_tokens > 0.
  Sequence(GenerationRequest request, const ModelFacts& facts, const Digest& root);

  SequenceId id = 0;
  absl::Time arrival;     // at the engine
  absl::Duration waited;  // before that, for its turn to be prepared
  absl::Duration QueueTime(absl::Time now) const { return waited + (now - arrival); }
  const GenerationRequest request;
  const SlotLayout layout;
  const int max_size;  // tokens at which the sequence ends: prompt + max_tokens, or the context

  std::vector<int32_t> generated;
  std::vector<BlockId> blocks;     // block table; empty while the sequence waits
  std::vector<Digest> block_keys;  // of the leading blocks; grows as generated tokens fill blocks
  std::optional<Digest> awaited;   // key of the prefix block the waiting sequence last stepped aside for
  int times_passed = 0;            // admissions of others while it waited for memory
  int num_cached = 0;              // leading tokens taken from the prefix cache
  int num_computed = 0;            // leading tokens whose K and V are in the blocks
  int num_published = 0;           // leading blocks that are complete
  std::vector<interventions::AttentionMap> maps;

  int prompt_size() const { return request.prompt->size(); }
  int num_tokens() const { return prompt_size() + static_cast<int>(generated.size()); }
  bool prefilling() const { return num_computed < prompt_size(); }
  // Blocks the sequence can come to need. The last token's K and V are never written.
  int num_blocks() const { return layout.NumBlocks(max_size - 1); }
  QueuedRequest queued() const;
  int num_prefix_blocks() const { return layout.NumBlocks(layout.prefix_size()); }
  // Leading blocks that may be taken from the cache: one prompt token must be left to compute, for its
  // logits.
  int num_shareable_blocks() const;
  // End of the chunk of prefill that begins at `begin`. Ends do not depend on load: multiples of `chunk`
  // tokens, counted from 0 in the prefix and from its end after it.
  int ChunkEnd(int begin, int chunk) const;
  // Images whose visual tokens [begin, end) are the first of them this sequence computes.
  std::vector<int> ImagesToEncode(int begin, int end) const;
  // Whether the next sampled token's map is asked for, and the maps there are leave room for it.
  bool wants_map() const;
  // The step that computes tokens [begin, end).
  SequenceStep StepOver(int begin, int end) const;
};

}  // namespace varserve::engine
