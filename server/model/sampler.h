// Chooses the next token from logits: greedy or at random, as the request says. Plain C++ on the host, so the
// same on every device; a pure function of its arguments, so a seed gives the same tokens whatever else runs.
#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "server/engine/request.h"

namespace varserve::model {

// Whether a request needs all logits; otherwise the index of the largest is enough.
bool NeedsLogits(const engine::SamplingParams& params);

// logits: [V], finite. `prompt` and `generated` are the sequence so far, for the repetition penalty. The
// order of steps is Hugging Face's: penalty, temperature, top_k, top_p. Log-probabilities are those of the
// logits as given.
engine::Token Sample(absl::Span<const float> logits, const engine::SamplingParams& params,
                     absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated);

}  // namespace varserve::model
