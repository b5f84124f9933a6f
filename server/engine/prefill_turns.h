// Which chunks of prompts a step computes. Pure policy over plain data. Engine thread only.
//
// Chunks go by turns to the sequence that was admitted first, so that each prompt comes to its end, and to
// the shortest prompt of the caller who has the least left to compute, so that a short question does not wait
// for a long one, nor a caller for all another one sends. Every other step begins with the one, the others
// begin with the other. Prompts of one length from one caller so come one after the other.
//
// Where something decodes and other callers have something running, a caller's prefill is kept from taking
// all of their time: beyond kBurst tokens it goes on only as fast as they decode, a token for a token. Not so
// prompts whose prefix others wait for.
//
// An image costs its visual tokens once more for the vision tower, and a chunk that needs images runs only if
// no other chunk of the step does. The first chunk of a step runs whatever it costs; what the rest of the
// budget does not allow lets smaller chunks pass. Which chunks there are does not depend on any of this
// (Sequence::ChunkEnd).
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "server/engine/sequence.h"
#include "server/engine/step_plan.h"

namespace varserve::engine {

class PrefillTurns {
 public:
  static constexpr int kBurst = 1024;  // tokens: a prompt with a picture
  // Tokens a step that others decode in counts for at least.
  static constexpr int kLeastPaid = 8;

  explicit PrefillTurns(int chunk) : chunk_(chunk) {}

  // Adds the chunks of the next step to `plan`, which holds what decodes: of the running sequences, which are
  // in order of admission, as much as `budget` tokens allow. The chunks of a sequence come together and in
  // order. `awaited`: those whose prefix a sequence that waits is to share.
  void Plan(absl::Span<Sequence* const> running, const absl::flat_hash_set<SequenceId>& awaited, int budget,
            StepPlan& plan);

 private:
  // Takes what others decode in this step off each caller's debt.
  void PayDebts(const StepPlan& plan);
  bool MayGoOn(const std::string& caller) const;

  const int chunk_;
  // Tokens of prefill while other callers had something running.
  absl::flat_hash_map<std::string, int> debts_;
  bool oldest_begins_ = true;  // the next step
};

}  // namespace varserve::engine
