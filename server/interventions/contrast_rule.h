// How a contrast combines the logits of a request's two rows, its sequence's and its sibling's, and what
// comes of it. Plain data. docs/interventions.md defines the methods.
#pragma once

#include <cstdint>
#include <limits>

namespace varserve::interventions {

// For the t-th token of the answer, counted from 1, the logits z and u of sequence and sibling become
//   z + w (z - u), where w = weight + exp(forgetting_rate t) - 1, at most 1e6,
// for tokens with z >= max z + log(beta), and -infinity for all others. w is 0 if the most probable token by
// z has a probability of at least `confidence`.
struct ContrastRule {
  float weight = 0.0F;
  float forgetting_rate = 0.0F;
  float confidence = std::numeric_limits<float>::infinity();
  float beta = 0.0F;
};

// Of one token of the answer.
struct ContrastEvidence {
  bool contrasted = false;       // w was above 0
  bool changed = false;          // the largest combined logit is another token's than the largest of z
  int32_t plausible_tokens = 0;  // those that are not -infinity
};

}  // namespace varserve::interventions
