// Which positions of a sequence are visual tokens. Pure functions, thread-safe.
#pragma once

#include <optional>

#include "server/base/prompt.h"

namespace varserve {

struct VisualToken {
  int image = 0;  // index in the prompt
  int index = 0;  // within the image, row by row over its grid
};

// The visual token at `position`; none where the position holds text, prompt or generated.
inline std::optional<VisualToken> FindVisualToken(const Prompt& prompt, int position) {
  for (size_t i = 0; i < prompt.spans.size() && prompt.spans[i].begin <= position; ++i) {
    if (position < prompt.spans[i].end) {
      return VisualToken{.image = static_cast<int>(i), .index = position - prompt.spans[i].begin};
    }
  }
  return std::nullopt;
}

}  // namespace varserve
