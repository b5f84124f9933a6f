#include "server/model/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "server/backend/cpu/cpu_kernels.h"

namespace varserve::model {
namespace {

constexpr size_t kSumBlock = 256;  // logits whose weights are summed by themselves

constexpr double kOftenDrawn = 0.25;  // a nucleus of such a share is drawn from by trying

// Uniform in [0, 1), a function of seed, step and attempt alone: SplitMix64 (Steele, Lea, Flood 2014), the
// step-th output.
double Uniform(uint64_t seed, uint64_t step, uint64_t attempt = 0) {
  uint64_t z = (seed ^ (attempt * 0xda942042e4dd58b5U)) + (step + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

// exp((logit - largest) / temperature) of some logits; returns their sum.
double Weights(absl::Span<const float> logits, float largest, float temperature, double* weights) {
  return backend::cpu::GetCpuKernels().softmax_weights(logits.data(), static_cast<int>(logits.size()),
                                                       largest, temperature, weights);
}

// The sum of term(i) over [0, count).
template <typename Term>
double SumInLanes(size_t count, const Term& term) {
  constexpr size_t kLanes = 8;  // which compilers make vectors of
  double lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(i + lane);
  }
  for (; i < count; ++i) lanes[0] += term(i);
  return std::accumulate(std::begin(lanes), std::end(lanes), 0.0);
}

// A weight that no token of the nucleus is below: the heavier of two that are easy to try, or such that the
// tokens below it, even if all were just as heavy, weigh half of what top_p leaves out.
double LeastInNucleus(absl::Span<const double> weights, double total, double top_p) {
  for (const double least : {0x1p-8, 0x1p-12}) {
    // Less than what those not below `least` weigh; rounding is lost in the difference.
    const double above =
        SumInLanes(weights.size(), [&](size_t i) { return std::max(weights[i] - least, 0.0); });
    if (above > top_p * total) return least;
  }
  return 0.5 * (1.0 - top_p) * total / static_cast<double>(weights.size());
}

}  // namespace

bool NeedsLogits(const engine::GenerationRequest& request) {
  const engine::SamplingParams& params = request.sampling;
  return request.contrast != nullptr || params.temperature > 0.0F || params.repetition_penalty != 1.0F ||
         params.logprobs >= 0;
}

engine::Token Sampler::Sample(absl::Span<const float> logits, const engine::SamplingParams& params,
                              absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated) {
  const absl::Span<const float> penalized =
      params.repetition_penalty == 1.0F ? logits
                                        : Penalized(logits, params.repetition_penalty, prompt, generated);
  engine::Token token;
  token.id = params.temperature > 0.0F ? Draw(penalized, params, generated.size())
                                       : LogitBlocks(penalized).first_largest();
  if (params.logprobs >= 0) AddLogprobs(logits, params.logprobs, token);
  return token;
}

absl::Span<const float> Sampler::Penalized(absl::Span<const float> logits, float penalty,
                                           absl::Span<const int32_t> prompt,
                                           absl::Span<const int32_t> generated) {
  penalized_.assign(logits.begin(), logits.end());
  for (const absl::Span<const int32_t> tokens : {prompt, generated}) {
    for (const int32_t id : tokens)
      penalized_[id] = logits[id] > 0.0F ? logits[id] / penalty : logits[id] * penalty;
  }
  return penalized_;
}

int32_t Sampler::Draw(absl::Span<const float> logits, const engine::SamplingParams& params, uint64_t step) {
  const LogitBlocks blocks(logits);
  const auto top_p = static_cast<double>(params.top_p);
  double total = 0.0;
  TokenRanking::Prefix nucleus;
  if (params.top_k > 0) {
    FindMostProbable(logits, blocks, params.top_k, params.temperature);
  } else {
    total = WeighAll(logits, blocks.largest(), params.temperature);
    if (top_p >= kOftenDrawn) return DrawByTrying(logits, total, params, step);
    FindNucleus(logits, blocks, total, params);
  }
  const TokenRanking ranking(candidates_);
  nucleus.count = candidates_.size();
  if (params.top_k > 0) {
    nucleus = ranking.OfCount(params.top_k);
    total = nucleus.weight;
  }
  if (top_p < 1.0) {
    const TokenRanking::Prefix reached = ranking.Reaching(top_p * total);
    if (reached.count <= nucleus.count) nucleus = reached;
  }
  const TokenRanking::Prefix drawn = ranking.Exceeding(Uniform(params.seed, step) * nucleus.weight);
  return drawn.count <= nucleus.count ? drawn.last : nucleus.last;
}

double Sampler::WeighAll(absl::Span<const float> logits, float largest, float temperature) {
  weights_.resize(logits.size());
  block_sums_.clear();
  for (size_t begin = 0; begin < logits.size(); begin += kSumBlock) {
    block_sums_.push_back(
        Weights(logits.subspan(begin, kSumBlock), largest, temperature, weights_.data() + begin));
  }
  return std::accumulate(block_sums_.begin(), block_sums_.end(), 0.0);
}

int32_t Sampler::TokenAt(double weight) const {
  size_t last = 0;  // that weighs something, where rounding leads past the end
  for (size_t block = 0; block < block_sums_.size(); ++block) {
    if (weight >= block_sums_[block]) {
      weight -= block_sums_[block];
      continue;
    }
    const size_t end = std::min(weights_.size(), (block + 1) * kSumBlock);
    for (size_t id = block * kSumBlock; id < end; ++id) {
      if (weights_[id] == 0.0) continue;
      last = id;
      weight -= weights_[id];
      if (weight < 0.0) return static_cast<int32_t>(id);
    }
  }
  return static_cast<int32_t>(last);
}

int32_t Sampler::DrawByTrying(absl::Span<const float> logits, double total,
                              const engine::SamplingParams& params, uint64_t step) const {
  for (uint64_t attempt = 0;; ++attempt) {
    const int32_t id = TokenAt(Uniform(params.seed, step, attempt) * total);
    if (params.top_p >= 1.0F) return id;
    // What ranks before it: larger logits, and equal ones with smaller ids.
    const float logit = logits[id];
    const absl::Span<const double> weights = weights_;
    const double before = SumInLanes(id, [=](size_t i) { return logits[i] >= logit ? weights[i] : 0.0; }) +
                          SumInLanes(logits.size() - id, [=](size_t i) {
                            return logits[id + i] > logit ? weights[id + i] : 0.0;
                          });
    if (before == 0.0 || before < static_cast<double>(params.top_p) * total) return id;
  }
}

void Sampler::FindMostProbable(absl::Span<const float> logits, const LogitBlocks& blocks, int top_k,
                               float temperature) {
  // What weighs less than 2^-1022 is never drawn.
  const float lightest = blocks.largest() - 708.0F * temperature;
  Candidates& c = candidates_;
  blocks.TokensFrom(std::max(lightest, blocks.LowerBoundOfTop(top_k)), c.ids);
  c.logits.resize(c.size());
  c.weights.resize(c.size());
  for (size_t i = 0; i < c.size(); ++i) c.logits[i] = logits[c.ids[i]];
  Weights(c.logits, blocks.largest(), temperature, c.weights.data());
}

void Sampler::FindNucleus(absl::Span<const float> logits, const LogitBlocks& blocks, double total,
                          const engine::SamplingParams& params) {
  const double least = LeastInNucleus(weights_, total, params.top_p);
  // Its logarithm, less enough that rounding does not matter.
  const double threshold = blocks.largest() + params.temperature * (std::log(least) - 1e-3);
  Candidates& c = candidates_;
  blocks.TokensFrom(static_cast<float>(threshold), c.ids);
  c.logits.resize(c.size());
  c.weights.resize(c.size());
  for (size_t i = 0; i < c.size(); ++i) {
    c.logits[i] = logits[c.ids[i]];
    c.weights[i] = weights_[c.ids[i]];
  }
}

void Sampler::AddLogprobs(absl::Span<const float> logits, int count, engine::Token& token) {
  const LogitBlocks blocks(logits);
  const double log_sum = blocks.largest() + std::log(Weights(logits, blocks.largest(), 1.0F, nullptr));
  token.logprob = static_cast<float>(logits[token.id] - log_sum);
  if (count == 0) return;
  std::vector<int32_t>& top = candidates_.ids;
  blocks.TokensFrom(blocks.LowerBoundOfTop(count), top);
  const auto end = top.begin() + std::min<ptrdiff_t>(count, static_cast<ptrdiff_t>(top.size()));
  std::partial_sort(top.begin(), end, top.end(), [&logits](int32_t a, int32_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  });
  for (auto it = top.begin(); it != end && std::isfinite(logits[*it]); ++it)
    token.top.emplace_back(*it, static_cast<float>(logits[*it] - log_sum));
}

}  // namespace varserve::model
