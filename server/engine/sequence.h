// One accepted request from submission to its end, with the related arithmetic. Plain data, owned by the
// scheduler after Add. A request with a contrast has a sibling, a sequence that is admitted, runs and ends
// with its own. Thread-compatible.
#pragma once

#include <cstdint>
#include <memory>
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
  // `root`: root of the keys of its blocks (block_key.h). REQUIRES: the prompt, and a sibling's, is not empty
  // and leaves room in the context for one token; max_tokens > 0.
  Sequence(GenerationRequest request, const ModelFacts& facts, const Digest& root);

  // A sibling has an id of its own.
  SequenceId id = 0;
  std::unique_ptr<Sequence> sibling;     // null: no contrast
  std::optional<SequenceId> sibling_of;  // of a sibling: its request's sequence
  // Of a sibling: leading tokens whose blocks its request's sequence computes, or has.
  int num_shared = 0;
  void SetIds(SequenceId own, SequenceId of_sibling);
  absl::Time arrival;     // at Submit
  absl::Duration waited;  // before that, for preparation
  absl::Duration QueueTime(absl::Time now) const { return waited + (now - arrival); }
  const GenerationRequest request;
  const SlotLayout layout;
  // Number of tokens at which the sequence ends: prompt + max_tokens, or where it or its sibling reaches the
  // context.
  const int max_size;

  std::vector<int32_t> generated;
  std::vector<BlockId> blocks;     // block table; empty while the sequence waits
  std::vector<Digest> block_keys;  // of the leading blocks; grows as generated tokens fill blocks
  std::optional<Digest> awaited;   // key of the prefix block that the waiting sequence last stepped aside for
  int times_passed = 0;            // admissions of others while it waited for memory
  int num_cached = 0;              // leading tokens taken from the prefix cache
  int num_computed = 0;            // leading tokens whose K and V are in the blocks
  int num_published = 0;           // leading blocks that are complete, or that others complete
  std::vector<interventions::AttentionMap> maps;

  int prompt_size() const { return request.prompt->size(); }
  int num_tokens() const { return prompt_size() + static_cast<int>(generated.size()); }
  bool prefilling() const { return num_computed < prompt_size(); }
  // Maximum number of blocks that the sequence can need. The last token's K and V are never written.
  int num_blocks() const { return layout.NumBlocks(max_size - 1); }
  // The same for the whole request.
  int num_request_blocks() const { return num_blocks() + (sibling == nullptr ? 0 : sibling->num_blocks()); }
  // Tokens of the prompt, and of the sibling's.
  int num_request_tokens() const { return prompt_size() + (sibling == nullptr ? 0 : sibling->prompt_size()); }
  // Rows of a step in which the request decodes.
  int num_rows() const { return sibling == nullptr ? 1 : 2; }
  QueuedRequest queued() const;
  int num_prefix_blocks() const { return layout.NumBlocks(layout.prefix_size()); }
  // Leading blocks that may come from the cache. One prompt token must be left to compute, because its logits
  // are needed.
  int num_shareable_blocks() const;
  // End of the prefill chunk that begins at `begin`. Independent of load: chunks end at multiples of `chunk`
  // tokens, counted from 0 in the prefix and from the prefix's end after it.
  int ChunkEnd(int begin, int chunk) const;
  // Leading blocks of the sibling that have this sequence's content, and that this sequence, of whose tokens
  // `cached` are cached, has before its last chunk: with that it waits for its sibling. REQUIRES: there is
  // one.
  int NumBlocksSharedWithSibling(int cached, int chunk) const;
  // Images whose first computed visual tokens are in [begin, end).
  std::vector<int> ImagesToEncode(int begin, int end) const;
  // Whether a map of the next sampled token is requested and fits the limit on maps.
  bool wants_map() const;
  // The step that computes tokens [begin, end).
  SequenceStep StepOver(int begin, int end) const;
};

}  // namespace varserve::engine
