// Tokens by descending logit, ties by ascending id, without sorting them: only the requested part is examined
// closely. Thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "server/backend/leading_tokens.h"

namespace varserve::model {

// The largest logit of each run of kBlock logits, to skip blocks without candidates. The blocks are those
// that a GPU finds the leading tokens by.
class LogitBlocks {
 public:
  static constexpr size_t kBlock = backend::LeadingTokens::kBlock;

  // logits: [V], at least one. Must outlive the object.
  explicit LogitBlocks(absl::Span<const float> logits);

  float largest() const { return largest_; }
  // The id of the largest logit, the first of equals.
  int32_t first_largest() const;
  // A value that at least `count` logits reach. -infinity if there are fewer blocks.
  float LowerBoundOfTop(size_t count) const;
  // Sets `ids` to the tokens whose logits reach `threshold`, in order.
  void TokensFrom(float threshold, std::vector<int32_t>& ids) const;

 private:
  const absl::Span<const float> logits_;
  std::vector<float> maxima_;
  float largest_ = 0.0F;
};

class TokenRanking {
 public:
  // Tokens in order of ids, at least one. What weighs nothing has no rank, whatever its logit. Both must
  // outlive the object.
  TokenRanking(absl::Span<const float> logits, absl::Span<const double> weights);

  // The first tokens of the ranking: how many, their weights' sum, and the index of the last of them.
  struct Prefix {
    size_t count = 0;
    double weight = 0.0;
    size_t last = 0;
  };
  // The shortest prefix with at least this many tokens, with at least `weight`, or with more than `weight`.
  // All tokens if there is none.
  Prefix OfCount(size_t count) const;
  Prefix Reaching(double weight) const;
  Prefix Exceeding(double weight) const;

 private:
  // Tokens by the position of their logits between the highest and the lowest.
  class Buckets {
   public:
    static constexpr int kCount = 256;
    Buckets(absl::Span<const float> logits, absl::Span<const double> weights);
    bool can_split() const { return highest_ > lowest_; }
    // The indices of what is in a bucket, in order, to `use`; also of what weighs nothing.
    template <typename Use>
    void ForEach(int bucket, const Use& use) const;
    size_t count(int bucket) const { return counts_[bucket]; }
    double weight(int bucket) const { return weights_[bucket]; }

   private:
    float highest_;
    float lowest_;
    std::vector<uint8_t> bucket_of_;  // of each token
    uint32_t counts_[kCount] = {};
    double weights_[kCount] = {};
  };
  template <typename Enough>
  Prefix Shortest(const Enough& enough) const;

  const absl::Span<const float> logits_;
  const absl::Span<const double> weights_;
  const Buckets buckets_;  // of all tokens
};

}  // namespace varserve::model
