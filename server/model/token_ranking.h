// Tokens by descending logit, ties by ascending id, without sorting them: only the part somebody asks for is
// looked at closely. Thread-compatible.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace varserve::model {

// The largest logit of each run of kBlock logits, to pass over those where nothing of interest is.
class LogitBlocks {
 public:
  static constexpr size_t kBlock = 64;

  // logits: [V], at least one. Must outlive the object.
  explicit LogitBlocks(absl::Span<const float> logits);

  float largest() const { return largest_; }
  // The id of the largest logit, the first of equals.
  int32_t first_largest() const;
  // A value that at least `count` logits are not below; of little use (-infinity) where there are fewer
  // blocks.
  float LowerBoundOfTop(size_t count) const;
  // Calls `visit(id)` for each logit not below `threshold`, in order of ids.
  template <typename Visit>
  void ForEachFrom(float threshold, const Visit& visit) const {
    for (size_t block = 0; block < maxima_.size(); ++block) {
      if (maxima_[block] < threshold) continue;
      const size_t end = std::min(logits_.size(), (block + 1) * kBlock);
      for (size_t id = block * kBlock; id < end; ++id) {
        if (logits_[id] >= threshold) visit(static_cast<int32_t>(id));
      }
    }
  }

 private:
  const absl::Span<const float> logits_;
  std::vector<float> maxima_;
  float largest_ = 0.0F;
};

class TokenRanking {
 public:
  struct Candidate {
    float logit = 0.0F;
    int32_t id = 0;
    double weight = 0.0;
  };

  // In order of ids, at least one; finite logits.
  explicit TokenRanking(std::vector<Candidate> candidates);

  // The first tokens of the ranking: how many, their weights' sum, and the last of them.
  struct Prefix {
    size_t count = 0;
    double weight = 0.0;
    int32_t last = 0;
  };
  // The shortest prefix of at least so many tokens; whose weight is at least `weight`; or above it. All
  // tokens where none is.
  Prefix OfCount(size_t count) const;
  Prefix Reaching(double weight) const;
  Prefix Exceeding(double weight) const;

 private:
  static constexpr int kBuckets = 256;
  // Candidates by their logits' place between the lowest and the highest.
  struct Buckets {
    explicit Buckets(absl::Span<const Candidate> candidates);
    int Of(const Candidate& candidate) const;

    float highest = 0.0F;
    float lowest = 0.0F;
    double per_logit = 0.0;
    size_t counts[kBuckets] = {};
    double weights[kBuckets] = {};
  };
  template <typename Enough>
  Prefix Shortest(const Enough& enough) const;

  const std::vector<Candidate> candidates_;
  const Buckets buckets_;  // of all candidates
};

}  // namespace varserve::model
