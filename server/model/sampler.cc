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

// The index of the token that is drawn from some tokens. total: what all tokens weigh, needed without top_k.
// complete: whether nothing else can be drawn; if not, and if these are not enough, there is no result.
std::optional<size_t> Draw(const TokenRanking& ranking, size_t count, const engine::SamplingParams& params,
                           double uniform, double total, bool complete) {
  TokenRanking::Prefix nucleus{.count = count, .weight = total};
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

}  // namespace

LogitsNeeded LogitsNeededBy(const engine::SequenceStep& step) {
  const engine::SamplingParams& params = step.request->sampling;
  if (step.contrasts || step.request->contrast != nullptr || params.repetition_penalty != 1.0F)
    return LogitsNeeded::kAll;
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
    const std::optional<int32_t> id = DrawCandidate(
        params, Uniform(params.seed, step), all ? sum : leading.total_weight, all || params.top_k > 0);
    if (!id.has_value()) return std::nullopt;
    chosen = std::lower_bound(leading.ids, leading.ids + count, static_cast<float>(*id)) - leading.ids;
  }
  engine::Token token;
  token.id = static_cast<int32_t>(leading.ids[chosen]);
  if (params.logprobs >= 0) {
    const double sum = all ? Weights(logits, *first, 1.0F, nullptr) : leading.total_weight_at_one;
    if (params.logprobs > 0) TakeFrom(leading, -std::numeric_limits<float>::infinity());
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
  if (const auto id = DrawCandidate(params, uniform, total, /*complete=*/params.top_k > 0)) return *id;
  const TokenRanking ranking(logits, weights_);
  return static_cast<int32_t>(*Draw(ranking, logits.size(), params, uniform, total, /*complete=*/true));
}

void Sampler::TakeFrom(absl::Span<const float> logits, const LogitBlocks& blocks, float threshold) {
  blocks.TokensFrom(threshold, candidates_.ids);
  candidates_.logits.clear();
  for (const int32_t id : candidates_.ids) candidates_.logits.push_back(logits[id]);
}

void Sampler::TakeFrom(const backend::LeadingTokens& leading, float threshold) {
  candidates_.ids.clear();
  candidates_.logits.clear();
  for (int i = 0; i < static_cast<int>(leading.count); ++i) {
    if (leading.logits[i] < threshold) continue;
    candidates_.ids.push_back(static_cast<int32_t>(leading.ids[i]));
    candidates_.logits.push_back(leading.logits[i]);
  }
}

double Sampler::WeighCandidates(float largest, float temperature) {
  candidates_.weights.resize(candidates_.ids.size());
  return Weights(candidates_.logits, largest, temperature, candidates_.weights.data());
}

std::optional<int32_t> Sampler::DrawCandidate(const engine::SamplingParams& params, double uniform,
                                              double total, bool complete) const {
  const TokenRanking ranking(candidates_.logits, candidates_.weights);
  const std::optional<size_t> drawn = Draw(ranking, candidates_.ids.size(), params, uniform, total, complete);
  if (!drawn.has_value()) return std::nullopt;
  return candidates_.ids[*drawn];
}

void Sampler::AddLogprobs(int count, float logit, double log_sum, engine::Token& token) const {
  token.logprob = static_cast<float>(logit - log_sum);
  const std::vector<float>& logits = candidates_.logits;
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min<ptrdiff_t>(count, static_cast<ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), end, order.end(), [&logits](size_t a, size_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  });
  for (auto it = order.begin(); it != end && std::isfinite(logits[*it]); ++it)
    token.top.emplace_back(candidates_.ids[*it], static_cast<float>(logits[*it] - log_sum));
}

}  // namespace varserve::model
