// The rows that interventions may change. Pure functions, thread-safe.
#pragma once

#include "server/base/visual_tokens.h"

namespace varserve::interventions {

// A text token, prompt or generated, after an image.
inline bool IsEligible(const Prompt& prompt, int position) {
  return !prompt.spans.empty() && position >= prompt.spans.front().end && !FindImage(prompt, position);
}

}  // namespace varserve::interventions
