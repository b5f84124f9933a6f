// Which running sequences decode in a step. Pure policy over plain data. Engine thread only.
//
// All of them, if they belong to one caller. Otherwise each caller gets at most an equal share of a full
// step's rows, and at least one sequence; of its sequences, those whose last turn was longest ago go first.
// Unused shares are not given to other callers; the step is just shorter. So a caller with few running
// sequences decodes nearly as fast as if no caller had many.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "server/engine/sequence.h"

namespace varserve::engine {

class DecodeTurns {
 public:
  // `max_rows`: the rows of a full step, which the callers share.
  explicit DecodeTurns(int max_rows) : max_rows_(max_rows) {}

  // Which of the running sequences that have finished prefill decode in the next step, in order of admission.
  // At least one per caller.
  std::vector<const Sequence*> Next(absl::Span<Sequence* const> running);

 private:
  const int max_rows_;
  uint64_t step_ = 0;
  // step of the last turn, while several callers decode
  absl::flat_hash_map<SequenceId, uint64_t> last_turn_;
};

}  // namespace varserve::engine
