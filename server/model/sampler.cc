#include "server/model/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "server/backend/cpu/cpu_kernels.h"

namespace varserve::model {
namespace {

// What weighs less than exp(-708), about 2^-1022, is never drawn.
constexpr float kLightest = -708.0F;

// Uniform in [0, 1), a function of seed and step alone: SplitMix64 (Steele, Lea, Flood 2014), the step-th
// output.
double Uniform(uint64_t seed, uint64_t step) {
  uint64_t z = seed + (step + 1) * 0x9e3779b97f4a7c15U;
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

// A weight such that the tokens not below it weigh more than `share` of the total: the heavier of two that
// are easy to try, or such that the tokens below it, even if all were just as heavy, weigh half of the rest.
double LeastWeight(absl::Span<const double> weights, double total, double share) {
  for (const double least : {0x1p-8, 0x1p-12}) {
    // Less than what those not below `least` weigh; rounding is lost in the difference.
    const double above =
        SumInLanes(weights.size(), [&](size_t i) { return std::max(weights[i] - least, 0.0); });
    if (above > share * total) return least;
  }
  return 0.5 * (1.0 - share) * total / static_cast<double>(weights.size());
}

}  // namespace

LogitsNeeded LogitsNeededBy(const engine::GenerationRequest& request) {
  const engine::SamplingParams& params = request.sampling;
  if (request.contrast != nullptr || params.repetition_penalty != 1.0F) return LogitsNeeded::kAll;
  return params.temperature > 0.0F || params.logprobs >= 0 ? LogitsNeeded::kLeading : LogitsNeeded::kLargest;
}

engine::Token Sampler::Sample(absl::Span<const float> logits, const engine::SamplingParams& params,
                              absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated) {
  const absl::Span<const float> penalized =
      params.repetition_penalty == 1.0F ? logits
                                        : Penalized(logits, params.repetition_penalty, prompt, generated);
  engine::Token token;
  if (params.temperature > 0.0F) {
    token.id = DrawFromAll(penalized, params, Uniform(params.seed, generated.size()));
  } else {
    token.id = LogitBlocks(penalized).first_largest();
  }
  if (params.logprobs >= 0) {
    const LogitBlocks blocks(logits);
    const double sum = Weights(logits, blocks.largest(), 1.0F, nullptr);
    if (params.logprobs > 0) TakeFrom(logits, blocks, blocks.LowerBoundOfTop(params.logprobs));
    AddLogprobs(params.logprobs, logits[token.id], blocks.largest() + std::log(sum), token);
  }
  return token;
}

std::optional<engine::Token> Sampler::Sample(const backend::LeadingTokens& leading, int64_t vocabulary,
                                             const engine::SamplingParams& params, size_t step) {
  if (leading.count > backend::LeadingTokens::kRoom) return std::nullopt;
  const auto count = static_cast<int>(leading.count);
  const bool all = count == vocabulary;
  if (!all && count < std::max(params.top_k, params.logprobs)) return std::nullopt;
  const absl::Span<const float> logits(leading.logits, count);
  const auto first = std::max_element(logits.begin(), logits.end());
  ptrdiff_t chosen = first - logits.begin();
  if (params.temperature > 0.0F) {
    TakeFrom(leading, *first + params.temperature * kLightest);
    const double sum = WeighCandidates(*first, params.temperature);
    const std::optional<int32_t> id =
        Draw(params, Uniform(params.seed, step), all ? sum : leading.total_weight, all || params.top_k > 0);
    if (!id.has_value()) return std::nullopt;
    chosen = std::lower_bound(leading.ids, leading.ids + count, static_cast<float>(*id)) - leading.ids;
  }
  engine::Token token;
  token.id = static_cast<int32_t>(leading.ids[chosen]);
  if (params.logprobs >= 0) {
    const double sum = all ? Weights(logits, *first, 1.0F, nullptr) : leading.total_weight_at_one;
    TakeFrom(leading, -std::numeric_limits<float>::infinity());
    AddLogprobs(params.logprobs, logits[chosen], *first + std::log(sum), token);
  }
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

int32_t Sampler::DrawFromAll(absl::Span<const float> logits, const engine::SamplingParams& params,
                             double uniform) {
  const LogitBlocks blocks(logits);
  const float largest = blocks.largest();
  const float lightest = largest + params.temperature * kLightest;
  double total = 0.0;
  size_t count = params.top_k;
  if (params.top_k == 0) {
    weights_.resize(logits.size());
    total = Weights(logits, largest, params.temperature, weights_.data());
    count = backend::LeadingTokens::LeastOf(static_cast<int64_t>(logits.size()));  // nearly always enough
  }
  TakeFrom(logits, blocks, std::max(lightest, blocks.LowerBoundOfTop(count)));
  WeighCandidates(largest, params.temperature);
  if (const auto id = Draw(params, uniform, total, /*complete=*/params.top_k > 0)) return *id;
  const double share = params.top_p < 1.0F ? static_cast<double>(params.top_p) : uniform;
  // Its logarithm, less enough that rounding does not matter.
  const double log_weight = std::log(LeastWeight(weights_, total, share)) - 1e-3;
  TakeFrom(logits, blocks, std::max(lightest, static_cast<float>(largest + params.temperature * log_weight)));
  WeighCandidates(largest, params.temperature);
  return *Draw(params, uniform, total, /*complete=*/true);
}

void Sampler::TakeFrom(absl::Span<const float> logits, const LogitBlocks& blocks, float threshold) {
  Candidates& c = candidates_;
  blocks.TokensFrom(threshold, c.ids);
  c.logits.resize(c.size());
  for (size_t i = 0; i < c.size(); ++i) c.logits[i] = logits[c.ids[i]];
}

void Sampler::TakeFrom(const backend::LeadingTokens& leading, float threshold) {
  Candidates& c = candidates_;
  c.ids.clear();
  c.logits.clear();
  for (int i = 0; i < static_cast<int>(leading.count); ++i) {
    if (leading.logits[i] < threshold) continue;
    c.ids.push_back(static_cast<int32_t>(leading.ids[i]));
    c.logits.push_back(leading.logits[i]);
  }
}

double Sampler::WeighCandidates(float largest, float temperature) {
  candidates_.weights.resize(candidates_.size());
  return Weights(candidates_.logits, largest, temperature, candidates_.weights.data());
}

std::optional<int32_t> Sampler::Draw(const engine::SamplingParams& params, double uniform, double total,
                                     bool complete) const {
  const TokenRanking ranking(candidates_);
  TokenRanking::Prefix nucleus{.count = candidates_.size(), .weight = total};
  if (params.top_k > 0) nucleus = ranking.OfCount(params.top_k);
  if (params.top_p < 1.0F) {
    const double enough = static_cast<double>(params.top_p) * nucleus.weight;
    const TokenRanking::Prefix reached = ranking.Reaching(enough);
    if (!complete && reached.weight < enough) return std::nullopt;
    if (reached.count <= nucleus.count) nucleus = reached;
    complete = true;
  }
  const double wanted = uniform * nucleus.weight;
  const TokenRanking::Prefix drawn = ranking.Exceeding(wanted);
  if (!complete && drawn.weight <= wanted) return std::nullopt;
  return drawn.count <= nucleus.count ? drawn.last : nucleus.last;
}

void Sampler::AddLogprobs(int count, float logit, double log_sum, engine::Token& token) const {
  token.logprob = static_cast<float>(logit - log_sum);
  const Candidates& c = candidates_;
  std::vector<size_t> order(c.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min<ptrdiff_t>(count, static_cast<ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), end, order.end(), [&c](size_t a, size_t b) {
    return c.logits[a] > c.logits[b] || (c.logits[a] == c.logits[b] && a < b);
  });
  for (auto it = order.begin(); it != end && std::isfinite(c.logits[*it]); ++it)
    token.top.emplace_back(c.ids[*it], static_cast<float>(c.logits[*it] - log_sum));
}

}  // namespace varserve::model
