// Which chunks of prompts a step computes. Pure policy over plain data. Engine thread only.
//
// Chunks go alternately to the sequence that was admitted first, so that every prompt finishes, and to the
// shortest prompt of the caller with the least left to compute, so that a short question does not wait for a
// long one, nor a caller for another caller's load. Steps alternately begin with the one and with the other.
// Equally long prompts of one caller are computed one after the other.
//
// If something decodes and other callers have running sequences, a caller's prefill cannot take all of their
// time: beyond kBurst tokens it advances only as fast as they decode, token for token. Prompts whose prefix
// others wait for are exempt.
//
// A sibling begins once its sequence has computed what both share. The last chunks of the two go in one step,
// because a token is chosen from both; until then the one that is ahead waits.
//
// While sequences decode, images are encoded ahead if the runner can do that: a chunk that needs images
// waits until they are ready. Otherwise an image costs its visual tokens a second time, for the vision tower,
// and a chunk that needs images runs only if no other chunk in the step does. The first chunk of a step runs
// whatever it costs. If the rest of the budget is too small for a chunk, smaller chunks may pass it. The
// boundaries of chunks do not depend on any of this (Sequence::ChunkEnd).
#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "server/engine/images_ahead.h"
#include "server/engine/sequence.h"
#include "server/engine/step_plan.h"

namespace varserve::engine {

class PrefillTurns {
 public:
  static constexpr int kBurst = 1024;  // tokens: a prompt with an image
  // Minimum number of tokens that a step with other callers' decoding counts for.
  static constexpr int kLeastPaid = 8;

  PrefillTurns(int chunk, bool encodes_ahead) : chunk_(chunk), encodes_ahead_(encodes_ahead) {}

  // Adds the chunks of the next step to `plan`, which already holds the decoding sequences: chunks of the
  // running sequences (in order of admission), up to `budget` tokens. A sequence's chunks are adjacent and in
  // order. `awaited`: sequences whose prefix a waiting sequence is going to share.
  //
  // A step with images to encode ahead has other steps, too.
  void Plan(absl::Span<Sequence* const> running, const absl::flat_hash_set<SequenceId>& awaited, int budget,
            StepPlan& plan);

  void OnEncoded(const ImageRef& image) { ahead_.OnEncoded(image); }
  void Forget(SequenceId sequence) { ahead_.Forget(sequence); }

 private:
  // Subtracts what others decode in this step from each caller's debt.
  void PayDebts(const StepPlan& plan);
  bool MayGoOn(const std::string& caller) const;

  const int chunk_;
  const bool encodes_ahead_;
  ImagesAhead ahead_;
  // Tokens of prefill while other callers had running sequences.
  absl::flat_hash_map<std::string, int> debts_;
  bool oldest_begins_ = true;  // in the next step
};

}  // namespace varserve::engine
