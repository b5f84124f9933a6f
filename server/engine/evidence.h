// What VAR needs to report on a sequence, kept on the host for every block of the KV pool: phi of each token
// and the attention of each eligible row. It lives and dies with the block's K and V, so a prefix hit brings
// its evidence along. Engine thread only.
#pragma once

#include <cstddef>
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

  // Keeps what a step found out about its tokens. `result` has the sizes step_plan.h asks for.
  void Record(const SequenceStep& step, const SlotLayout& layout, const SequenceResult& result);

  // The report on the first `num_tokens` tokens of a sequence, all of them recorded; without maps.
  VarReport Report(const GenerationRequest& request, const SlotLayout& layout,
                   absl::Span<const BlockId> blocks, int num_tokens) const;

 private:
  struct Block {                        // made when first written to
    std::vector<float> phi;             // [block_size, kNumPhiPlanes, num_layers]
    std::vector<AttentionShares> rows;  // [block_size, num_layers], of eligible tokens
  };

  const size_t num_layers_;
  const size_t phi_size_;  // of one token: kNumPhiPlanes * num_layers_
  std::vector<Block> blocks_;
};

}  // namespace varserve::engine
