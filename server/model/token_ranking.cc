#include "server/model/token_ranking.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace varserve::model {
namespace {

constexpr size_t kFew = 48;  // candidates that are sorted

float LargestOf(absl::Span<const float> logits) {
  constexpr size_t kLanes = 16;
  float lanes[kLanes];
  std::fill(std::begin(lanes), std::end(lanes), logits[0]);
  size_t i = 0;
  for (; i + kLanes <= logits.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = std::max(lanes[lane], logits[i + lane]);
  }
  for (; i < logits.size(); ++i) lanes[0] = std::max(lanes[0], logits[i]);
  return *std::max_element(std::begin(lanes), std::end(lanes));
}

}  // namespace

LogitBlocks::LogitBlocks(absl::Span<const float> logits) : logits_(logits) {
  maxima_.reserve(logits.size() / kBlock + 1);
  for (size_t begin = 0; begin < logits.size(); begin += kBlock)
    maxima_.push_back(LargestOf(logits.subspan(begin, kBlock)));
  largest_ = *std::max_element(maxima_.begin(), maxima_.end());
}

int32_t LogitBlocks::first_largest() const {
  const size_t block = std::find(maxima_.begin(), maxima_.end(), largest_) - maxima_.begin();
  const auto begin = logits_.begin() + static_cast<ptrdiff_t>(block * kBlock);
  return static_cast<int32_t>(std::find(begin, logits_.end(), largest_) - logits_.begin());
}

float LogitBlocks::LowerBoundOfTop(size_t count) const {
  if (count > maxima_.size()) return -std::numeric_limits<float>::infinity();
  std::vector<float> maxima = maxima_;
  const auto bound = maxima.begin() + static_cast<ptrdiff_t>(count) - 1;
  std::nth_element(maxima.begin(), bound, maxima.end(), std::greater<>());
  return *bound;
}

TokenRanking::Buckets::Buckets(absl::Span<const Candidate> candidates) {
  highest = lowest = candidates.front().logit;
  for (const Candidate& c : candidates) {
    highest = std::max(highest, c.logit);
    lowest = std::min(lowest, c.logit);
  }
  if (highest > lowest) per_logit = kBuckets / (static_cast<double>(highest) - lowest);
  for (const Candidate& c : candidates) {
    const int bucket = Of(c);
    ++counts[bucket];
    weights[bucket] += c.weight;
  }
}

int TokenRanking::Buckets::Of(const Candidate& candidate) const {
  const double place = (static_cast<double>(highest) - candidate.logit) * per_logit;
  return std::min(static_cast<int>(place), kBuckets - 1);
}

TokenRanking::TokenRanking(std::vector<Candidate> candidates)
    : candidates_(std::move(candidates)), buckets_(candidates_) {}

template <typename Enough>
TokenRanking::Prefix TokenRanking::Shortest(const Enough& enough) const {
  Prefix prefix;  // of what ranks before `left`
  std::vector<Candidate> left;
  absl::Span<const Candidate> from = candidates_;
  // 1. Narrow it down to few candidates, bucket by bucket of what is left.
  for (Buckets buckets = buckets_;; buckets = Buckets(from)) {
    if (from.size() <= kFew || buckets.highest == buckets.lowest) break;
    int last = 0;  // bucket that is not empty
    int bucket = 0;
    for (; bucket < kBuckets; ++bucket) {
      if (buckets.counts[bucket] == 0) continue;
      last = bucket;
      if (enough(prefix.count + buckets.counts[bucket], prefix.weight + buckets.weights[bucket])) break;
      prefix.count += buckets.counts[bucket];
      prefix.weight += buckets.weights[bucket];
    }
    if (bucket == kBuckets) {  // by rounding, or because all are too little
      prefix.count -= buckets.counts[last];
      prefix.weight -= buckets.weights[last];
    }
    std::vector<Candidate> members;
    members.reserve(buckets.counts[last]);
    for (const Candidate& c : from) {
      if (buckets.Of(c) == last) members.push_back(c);
    }
    left = std::move(members);
    from = left;
  }
  // 2. One by one. Equal logits are in order already.
  if (from.size() <= kFew) {
    left.assign(from.begin(), from.end());
    std::sort(left.begin(), left.end(), [](const Candidate& a, const Candidate& b) {
      return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
    });
    from = left;
  }
  for (const Candidate& c : from) {
    ++prefix.count;
    prefix.weight += c.weight;
    prefix.last = c.id;
    if (enough(prefix.count, prefix.weight)) break;
  }
  return prefix;
}

TokenRanking::Prefix TokenRanking::OfCount(size_t count) const {
  return Shortest([count](size_t c, double /*w*/) { return c >= count; });
}

TokenRanking::Prefix TokenRanking::Reaching(double weight) const {
  return Shortest([weight](size_t /*c*/, double w) { return w >= weight; });
}

TokenRanking::Prefix TokenRanking::Exceeding(double weight) const {
  return Shortest([weight](size_t /*c*/, double w) { return w > weight; });
}

}  // namespace varserve::model
