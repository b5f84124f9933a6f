// The arithmetic of a contrast. Pure functions, thread-safe.
#pragma once

#include <vector>

#include "absl/types/span.h"
#include "server/interventions/contrast_rule.h"

namespace varserve::interventions {

// Sets `combined` to the logits from which the answer's token `count`, counted from 1, is chosen. `logits`
// and `sibling`: [V], finite. Where w is 0 and nothing is implausible, the result is `logits` to the bit.
ContrastEvidence CombineLogits(const ContrastRule& rule, int count, absl::Span<const float> logits,
                               absl::Span<const float> sibling, std::vector<float>& combined);

}  // namespace varserve::interventions
