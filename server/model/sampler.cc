#include "server/model/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_set>
#include <vector>

namespace varserve::model {
namespace {

// Uniform in [0, 1), a function of seed and step alone: SplitMix64 (Steele, Lea, Flood 2014), the step-th
// output.
double Uniform(uint64_t seed, uint64_t step) {
  uint64_t z = seed + (step + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

int32_t Largest(absl::Span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

void Penalize(float penalty, absl::Span<const int32_t> tokens, std::unordered_set<int32_t>& seen,
              std::vector<float>& logits) {
  for (const int32_t id : tokens) {
    if (!seen.insert(id).second) continue;
    logits[id] = logits[id] > 0.0F ? logits[id] / penalty : logits[id] * penalty;
  }
}

// The most probable candidates, most probable first: as many as top_k allows and top_p needs.
class Nucleus {
 public:
  Nucleus(const std::vector<double>& weights, const engine::SamplingParams& params) : weights_(weights) {
    order_.resize(weights.size());
    std::iota(order_.begin(), order_.end(), 0);
    const size_t limit = params.top_k > 0 ? std::min<size_t>(params.top_k, order_.size()) : order_.size();
    if (params.top_p >= 1.0F) {
      Sort(0, limit);
      order_.resize(limit);
      return;
    }
    double total = 0.0;
    if (limit < order_.size()) {
      Sort(0, limit);
      for (size_t i = 0; i < limit; ++i) total += weights_[order_[i]];
    } else {
      total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    }
    // Most of the mass sits in few tokens: sort more only while it does not reach top_p.
    double mass = 0.0;
    size_t sorted = limit < order_.size() ? limit : 0;
    for (size_t i = 0; i < limit; ++i) {
      if (i == sorted) {
        const size_t more = std::min(limit, std::max<size_t>(64, 4 * sorted));
        Sort(sorted, more);
        sorted = more;
      }
      mass += weights_[order_[i]];
      if (mass >= static_cast<double>(params.top_p) * total) {
        order_.resize(i + 1);
        return;
      }
    }
    order_.resize(limit);
  }

  int32_t Pick(double uniform) const {
    double total = 0.0;
    for (const int32_t id : order_) total += weights_[id];
    double left = uniform * total;
    for (const int32_t id : order_) {
      left -= weights_[id];
      if (left < 0.0) return id;
    }
    return order_.back();
  }

 private:
  // Puts the candidates of ranks [begin, end) in their places, given that those before are in theirs.
  void Sort(size_t begin, size_t end) {
    const auto before = [this](int32_t a, int32_t b) {
      return weights_[a] > weights_[b] || (weights_[a] == weights_[b] && a < b);
    };
    std::partial_sort(order_.begin() + static_cast<ptrdiff_t>(begin),
                      order_.begin() + static_cast<ptrdiff_t>(end), order_.end(), before);
  }

  const std::vector<double>& weights_;
  std::vector<int32_t> order_;
};

int32_t Draw(const std::vector<float>& logits, const engine::SamplingParams& params, uint64_t step) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> weights(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    weights[i] = std::exp((logits[i] - largest) / static_cast<double>(params.temperature));
  }
  const double uniform = Uniform(params.seed, step);
  if (params.top_k == 0 && params.top_p >= 1.0F) {
    double left = uniform * std::accumulate(weights.begin(), weights.end(), 0.0);
    for (size_t i = 0; i < weights.size(); ++i) {
      left -= weights[i];
      if (left < 0.0) return static_cast<int32_t>(i);
    }
    return static_cast<int32_t>(std::max_element(weights.begin(), weights.end()) - weights.begin());
  }
  return Nucleus(weights, params).Pick(uniform);
}

void AddLogprobs(absl::Span<const float> logits, int count, engine::Token& token) {
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  const double log_sum = largest + std::log(sum);
  token.logprob = static_cast<float>(logits[token.id] - log_sum);
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min<ptrdiff_t>(count, static_cast<ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), end, order.end(), [&](int32_t a, int32_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  });
  for (auto it = order.begin(); it != end; ++it)
    token.top.emplace_back(*it, static_cast<float>(logits[*it] - log_sum));
}

}  // namespace

bool NeedsLogits(const engine::SamplingParams& params) {
  return params.temperature > 0.0F || params.repetition_penalty != 1.0F || params.logprobs >= 0;
}

engine::Token Sample(absl::Span<const float> logits, const engine::SamplingParams& params,
                     absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated) {
  std::vector<float> penalized(logits.begin(), logits.end());
  if (params.repetition_penalty != 1.0F) {
    std::unordered_set<int32_t> seen;
    Penalize(params.repetition_penalty, prompt, seen, penalized);
    Penalize(params.repetition_penalty, generated, seen, penalized);
  }
  engine::Token token;
  token.id = params.temperature > 0.0F ? Draw(penalized, params, generated.size()) : Largest(penalized);
  if (params.logprobs >= 0) AddLogprobs(logits, params.logprobs, token);
  return token;
}

}  // namespace varserve::model
