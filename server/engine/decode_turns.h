// Which running sequences decode in a step. Pure policy over plain data. Engine thread only.
//
// All of them, where one caller has them all. Else none of the callers who decode has more than its part of
// the rows of a full step, at least one, and of a caller's sequences those go first whose last turn was
// longest ago. What others leave of theirs is not handed on: a shorter step is what they get of it. So
// whoever has few running decodes nearly as fast as if nobody had many.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "server/engine/sequence.h"

namespace varserve::engine {

class DecodeTurns {
 public:
  // So many rows are divided.
  explicit DecodeTurns(int max_rows) : max_rows_(max_rows) {}

  // Of the running sequences that are past their prefill, those of the next step, in order of admission. At
  // least one of each caller.
  std::vector<const Sequence*> Next(absl::Span<Sequence* const> running);

 private:
  const int max_rows_;
  uint64_t step_ = 0;
  absl::flat_hash_map<SequenceId, uint64_t> last_turn_;  // the step of it, while several callers decode
};

}  // namespace varserve::engine
