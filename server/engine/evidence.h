// Measurements of tokens, stored on the host for each block of the KV pool: the values of each token, and the
// attention of each row that an intervention acts on. They live as long as the block's K and V, so a prefix
// hit includes its evidence. Memory for a block is allocated on its first write and reused for later content:
// at most BlockBytes for each block of the pool. Engine thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "server/engine/model_runner.h"
#include "server/engine/slot_layout.h"
#include "server/engine/step_plan.h"
#include "server/interventions/measurements.h"

namespace varserve::engine {

class Evidence {
 public:
  explicit Evidence(const ModelFacts& facts);

  // Maximum host memory per block, in bytes: for each slot and layer, the token's values and one row's
  // shares.
  static int64_t BlockBytes(const ModelFacts& facts);
  // Memory in use.
  int64_t bytes() const;

  // Stores a step's measurements of its tokens. `result` has the sizes that step_plan.h requires.
  void Record(const SequenceStep& step, const SlotLayout& layout, const SequenceResult& result);

  // That of the first `num_tokens` tokens of a sequence, all of them recorded. Valid until the next Record.
  std::vector<interventions::TokenEvidence> Of(const SlotLayout& layout, absl::Span<const BlockId> blocks,
                                               int num_tokens) const;

 private:
  struct Block {
    std::vector<float> measures;                       // [block_size, token_measures, num_layers]
    std::vector<interventions::AttentionShares> rows;  // [block_size, num_layers], for rows acted on
  };

  const size_t num_layers_;
  const size_t token_size_;  // values of one token: token_measures * num_layers
  std::vector<Block> blocks_;
};

}  // namespace varserve::engine
