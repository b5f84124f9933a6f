// Chooses the next token from logits: greedy or at random, as the request says. Plain C++ on the host, so the
// same on every device; a pure function of its arguments, so a seed gives the same tokens whatever else runs.
//
// Never sorts the vocabulary, nor looks at all of it more often than it must: what the choice depends on is
// found by blocks and buckets (token_ranking.h). The choice is that of the definition, in which tokens are
// sorted by probability, ties by id.
#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "server/engine/request.h"

namespace varserve::model {

// Whether a request needs all logits; otherwise the index of the largest is enough.
bool NeedsLogits(const engine::SamplingParams& params);

// logits: [V], finite but for -infinity. `prompt` and `generated` are the sequence so far, for the repetition
// penalty. The order of steps is Hugging Face's: penalty, temperature, top_k, top_p. Log-probabilities are
// those of the logits as given. Thread-safe.
engine::Token Sample(absl::Span<const float> logits, const engine::SamplingParams& params,
                     absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated);

}  // namespace varserve::model
