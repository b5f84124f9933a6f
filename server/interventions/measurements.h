// What the model measures for interventions, token by token. The engine stores it with the KV blocks, and the
// request's intervention makes its report from it. Plain data.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "server/base/prompt.h"

namespace varserve::interventions {

// For one row and one layer, or means over many: sums over heads divided by the number of heads.
struct AttentionShares {
  float changed_heads = 0.0F;  // share of heads that passed the test of the row's change
  float redistributed = 0.0F;  // attention that was moved from sinks
  float visual_before = 0.0F;  // attention on visual tokens
  float visual_after = 0.0F;
};

// Attention of one row over the visual tokens of its prompt, before and after the intervention.
struct AttentionMap {
  int position = 0;
  std::vector<float> before;  // [visual tokens of the prompt, in order]
  std::vector<float> after;
};

// Bytes of a map's values over one image's grid and thumbnail, before and after.
inline int64_t MapBytes(const ImageLayout& image) {
  return 2 * static_cast<int64_t>(sizeof(float)) * image.num_cells();
}

struct TokenEvidence {
  const float* measures = nullptr;          // [measures of a token, layers]
  const AttentionShares* shares = nullptr;  // [layers]; only for rows that the intervention acts on
};

// Evidence of the first tokens of one sequence.
struct SequenceEvidence {
  const Prompt& prompt;
  int num_layers = 0;
  std::vector<TokenEvidence> tokens;
  std::vector<AttentionMap> maps;
};

}  // namespace varserve::interventions
