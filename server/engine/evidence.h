// What VAR needs to report on a sequence, kept on the host for every block of the KV pool: phi of each token
// and the attention of each eligible row. It lives and dies with the block's K and V, so a prefix hit brings
// its evidence along. Memory for a block is taken when it is first written to and kept for what the block
// holds next: at most BlockBytes for each block of the pool. Engine thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "server/engine/model_runner.h"
#include "server/engine/request.h"
#include "server/engine/slot_layout.h"
#include "server/engine/step_plan.h"
#include "server/engine/var_report.h"

namespace varserve::engine {

class Evidence {
 public:
  explicit Evidence(const ModelFacts& facts);

  // Most bytes of host memory a block takes: for each slot and layer both planes of phi and one row's shares.
  // 0 where the model has no VAR profile.
  static int64_t BlockBytes(const ModelFacts& facts);
  // What is taken by now.
  int64_t bytes() const;

  // Keeps what a step found out about its tokens. `result` has the sizes step_plan.h asks for.
  void Record(const SequenceStep& step, const SlotLayout& layout, const SequenceResult& result);

  // The report on the first `num_tokens` tokens of a sequence, all of them recorded; without maps.
  VarReport Report(const GenerationRequest& request, const SlotLayout& layout,
                   absl::Span<const BlockId> blocks, int num_tokens) const;

 private:
  struct Block {
    std::vector<float> phi;             // [block_size, kNumPhiPlanes, num_layers]
    std::vector<AttentionShares> rows;  // [block_size, num_layers], of eligible tokens
  };

  const size_t num_layers_;
  const size_t phi_size_;  // of one token: kNumPhiPlanes * num_layers_
  std::vector<Block> blocks_;
};

}  // namespace varserve::engine
