// Finds the visual tokens of a sequence. Pure functions, thread-safe.
#pragma once

#include <algorithm>
#include <optional>

#include "server/base/prompt.h"

namespace varserve {

struct VisualToken {
  int image = 0;    // index in the prompt
  int index = 0;    // among the image's visual tokens
  int run_end = 0;  // position after the last visual token of its run
};

// The image whose span includes `position`, as an index in the prompt; nullopt for text, prompt or generated.
inline std::optional<int> FindImage(const Prompt& prompt, int position) {
  for (size_t i = 0; i < prompt.spans.size() && prompt.spans[i].begin <= position; ++i) {
    if (position < prompt.spans[i].end) return static_cast<int>(i);
  }
  return std::nullopt;
}

// The visual token at `position`; nullopt if it is not one.
inline std::optional<VisualToken> FindVisualToken(const Prompt& prompt, int position) {
  const std::optional<int> image = FindImage(prompt, position);
  if (!image.has_value()) return std::nullopt;
  const ImageSpan& span = prompt.spans[*image];
  for (const VisualRun& run : span.layout->runs) {
    const int begin = span.begin + run.begin;
    const int end = span.begin + run.end;
    if (position < begin) break;
    if (position < end)
      return VisualToken{.image = *image, .index = run.index + position - begin, .run_end = end};
  }
  return std::nullopt;
}

// Visits an image's visual tokens at positions [begin, end), run by run, with visit(position, count, index),
// where `index` is that of the first one among the image's visual tokens.
template <typename Visit>
void ForVisualRuns(const ImageSpan& span, int begin, int end, Visit visit) {
  for (const VisualRun& run : span.layout->runs) {
    const int first = std::max(begin, span.begin + run.begin);
    const int last = std::min(end, span.begin + run.end);
    if (first < last) visit(first, last - first, run.index + first - span.begin - run.begin);
  }
}

}  // namespace varserve
