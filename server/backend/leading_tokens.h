// A row of logits as a GPU sends it to the host: its largest logits, and what all of its tokens weigh
// together. A token can be sampled from that, unless the distribution is so flat that all tokens count.
#pragma once

#include <algorithm>
#include <cstdint>

namespace varserve::backend {

// A row of LayerOps::FindLeading's result, all float32. A token weighs exp((logit - largest) / temperature).
struct LeadingTokens {
  static constexpr int kRoom = 1024;
  // The floor is the LeastOf(V)-th largest of the largest logits of each block of kBlock tokens, so that at
  // least so many tokens reach it; -infinity if there is room for all tokens.
  static constexpr int kBlock = 64;
  static constexpr int64_t Blocks(int64_t vocabulary) { return (vocabulary + kBlock - 1) / kBlock; }
  // Few enough that their blocks' other tokens have room, too.
  static constexpr int64_t LeastOf(int64_t vocabulary) {
    return std::clamp<int64_t>(Blocks(vocabulary) / 2, 1, 256);
  }

  float count;                // tokens whose logits reach the floor; above kRoom, the arrays are not set
  float total_weight;         // of all tokens
  float total_weight_at_one;  // the same at a temperature of 1
  float unused;               // the arrays are aligned to 16 bytes
  float ids[kRoom];           // of those tokens, ascending; exact below 2^24
  float logits[kRoom];        // theirs
};

// Columns of a row.
inline constexpr int64_t kLeadingColumns = sizeof(LeadingTokens) / sizeof(float);
inline constexpr int64_t kLeadingIds = 4;  // first column of the ids
static_assert(kLeadingColumns == kLeadingIds + 2 * LeadingTokens::kRoom);

}  // namespace varserve::backend
