#include "server/model/token_ranking.h"

#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

namespace varserve::model {
namespace {

constexpr size_t kFew = 48;  // tokens that are sorted
constexpr size_t kLanes = 16;

// In lanes, which compilers make vectors of.
template <typename Better>
float Best(absl::Span<const float> values, const Better& better) {
  float lanes[kLanes];
  std::fill(std::begin(lanes), std::end(lanes), values[0]);
  const auto take = [&better](float& best, float value) { best = better(best, value) ? value : best; };
  size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) take(lanes[lane], values[i + lane]);
  }
  for (; i < values.size(); ++i) take(lanes[0], values[i]);
  return *std::max_element(std::begin(lanes), std::end(lanes), better);
}

float LowestThatWeighs(absl::Span<const float> logits, absl::Span<const double> weights, float highest) {
  float lowest = highest;
  for (size_t i = 0; i < logits.size(); ++i)
    lowest = std::min(lowest, weights[i] > 0.0 ? logits[i] : highest);
  return lowest;
}

// Some of the tokens.
struct Tokens {
  std::vector<size_t> indices;
  std::vector<float> logits;
  std::vector<double> weights;

  void Add(size_t index, float logit, double weight) {
    indices.push_back(index);
    logits.push_back(logit);
    weights.push_back(weight);
  }
};

}  // namespace

LogitBlocks::LogitBlocks(absl::Span<const float> logits) : logits_(logits) {
  maxima_.reserve(logits.size() / kBlock + 1);
  for (size_t begin = 0; begin < logits.size(); begin += kBlock)
    maxima_.push_back(Best(logits.subspan(begin, kBlock), std::less<>()));
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

void LogitBlocks::TokensFrom(float threshold, std::vector<int32_t>& ids) const {
  ids.resize(logits_.size());
  size_t count = 0;
  for (size_t block = 0; block < maxima_.size(); ++block) {
    if (maxima_[block] < threshold) continue;
    const size_t end = std::min(logits_.size(), (block + 1) * kBlock);
    for (size_t id = block * kBlock; id < end; ++id) {  // without a branch, which would be mispredicted
      ids[count] = static_cast<int32_t>(id);
      count += logits_[id] >= threshold ? 1 : 0;
    }
  }
  ids.resize(count);
}

TokenRanking::Buckets::Buckets(absl::Span<const float> logits, absl::Span<const double> weights)
    : highest_(Best(logits, std::less<>())), lowest_(LowestThatWeighs(logits, weights, highest_)) {
  const double highest = highest_;
  const double per_logit = can_split() ? kCount / (highest - lowest_) : 0.0;
  bucket_of_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const double below = highest - std::max(logits[i], lowest_);
    bucket_of_[i] = static_cast<uint8_t>(std::min(static_cast<int>(below * per_logit), kCount - 1));
  }
  for (size_t i = 0; i < logits.size(); ++i) {
    counts_[bucket_of_[i]] += weights[i] > 0.0 ? 1 : 0;
    weights_[bucket_of_[i]] += weights[i];
  }
}

template <typename Use>
void TokenRanking::Buckets::ForEach(int bucket, const Use& use) const {
  const uint8_t* const begin = bucket_of_.data();
  const uint8_t* const end = begin + bucket_of_.size();
  for (const uint8_t* at = begin; at != end; ++at) {
    at = static_cast<const uint8_t*>(std::memchr(at, bucket, end - at));
    if (at == nullptr) return;
    use(static_cast<size_t>(at - begin));
  }
}

TokenRanking::TokenRanking(absl::Span<const float> logits, absl::Span<const double> weights)
    : logits_(logits), weights_(weights), buckets_(logits, weights) {}

template <typename Enough>
TokenRanking::Prefix TokenRanking::Shortest(const Enough& enough) const {
  Prefix prefix;  // of what ranks before `left`
  std::optional<Tokens> left;
  absl::Span<const float> logits = logits_;
  absl::Span<const double> weights = weights_;
  // 1. Narrow it down to few tokens, bucket by bucket of what is left.
  const Buckets* buckets = &buckets_;
  std::optional<Buckets> finer;
  while (!left.has_value() || (logits.size() > kFew && buckets->can_split())) {
    int chosen = 0;  // the first bucket to reach it, or, by rounding or because all are too little, the last
    for (int bucket = 0; bucket < Buckets::kCount; ++bucket) {
      if (buckets->count(bucket) == 0) continue;
      if (bucket > 0) {
        prefix.count += buckets->count(chosen);
        prefix.weight += buckets->weight(chosen);
      }
      chosen = bucket;
      if (enough(prefix.count + buckets->count(bucket), prefix.weight + buckets->weight(bucket))) break;
    }
    Tokens members;
    buckets->ForEach(chosen, [&](size_t i) {
      if (weights[i] > 0.0) members.Add(left.has_value() ? left->indices[i] : i, logits[i], weights[i]);
    });
    left = std::move(members);
    logits = left->logits;
    weights = left->weights;
    buckets = &finer.emplace(logits, weights);
  }
  // 2. One by one. Where there are more than few, they have one logit, and are in order.
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  if (order.size() <= kFew) {
    std::stable_sort(order.begin(), order.end(),
                     [&logits](size_t a, size_t b) { return logits[a] > logits[b]; });
  }
  for (const size_t i : order) {
    ++prefix.count;
    prefix.weight += weights[i];
    prefix.last = left->indices[i];
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
