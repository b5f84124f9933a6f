#include "server/model/sampler.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "server/kernels/cpu_kernels.h"
#include "server/model/token_ranking.h"

namespace varserve::model {
namespace {

using Candidates = std::vector<TokenRanking::Candidate>;

constexpr size_t kSumBlock = 256;  // logits whose weights are summed by themselves

// Uniform in [0, 1), a function of seed and step alone: SplitMix64 (Steele, Lea, Flood 2014), the step-th
// output.
double Uniform(uint64_t seed, uint64_t step) {
  uint64_t z = seed + (step + 1) * 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

// Each token once, however often it occurs: the penalty is on the logit as given.
void Penalize(float penalty, absl::Span<const float> logits, absl::Span<const int32_t> tokens,
              std::vector<float>& penalized) {
  for (const int32_t id : tokens)
    penalized[id] = logits[id] > 0.0F ? logits[id] / penalty : logits[id] * penalty;
}

// exp((logit - largest) / temperature) of some logits; they are added up.
double Weights(absl::Span<const float> logits, float largest, float temperature, double* weights) {
  return kernels::GetCpuKernels().softmax_weights(logits.data(), static_cast<int>(logits.size()), largest,
                                                  temperature, weights);
}

// The tokens whose logits are not below `threshold`, with their weights, in order of ids.
Candidates CandidatesFrom(const LogitBlocks& blocks, absl::Span<const float> logits, float threshold,
                          float temperature) {
  Candidates candidates;
  std::vector<float> values;
  blocks.ForEachFrom(threshold, [&](int32_t id) {
    candidates.push_back({.logit = logits[id], .id = id});
    values.push_back(logits[id]);
  });
  std::vector<double> weights(values.size());
  Weights(values, blocks.largest(), temperature, weights.data());
  for (size_t i = 0; i < weights.size(); ++i) candidates[i].weight = weights[i];
  return candidates;
}

// From all tokens, in order of ids.
int32_t DrawFromAll(absl::Span<const float> logits, const LogitBlocks& blocks, float temperature,
                    double uniform) {
  std::vector<double> sums;
  double total = 0.0;
  for (size_t begin = 0; begin < logits.size(); begin += kSumBlock) {
    sums.push_back(Weights(logits.subspan(begin, kSumBlock), blocks.largest(), temperature, nullptr));
    total += sums.back();
  }
  double left = uniform * total;
  for (size_t block = 0; block < sums.size(); ++block) {
    if (left - sums[block] >= 0.0) {
      left -= sums[block];
      continue;
    }
    const absl::Span<const float> values = logits.subspan(block * kSumBlock, kSumBlock);
    double weights[kSumBlock];
    Weights(values, blocks.largest(), temperature, weights);
    for (size_t i = 0; i < values.size(); ++i) {
      left -= weights[i];
      if (left < 0.0) return static_cast<int32_t>(block * kSumBlock + i);
    }
  }
  return blocks.first_largest();  // by rounding
}

int32_t Draw(absl::Span<const float> logits, const engine::SamplingParams& params, uint64_t step) {
  const double uniform = Uniform(params.seed, step);
  const LogitBlocks blocks(logits);
  const float temperature = params.temperature;
  const auto top_k = static_cast<size_t>(params.top_k);
  const bool has_top_p = params.top_p < 1.0F;
  if (top_k == 0 && !has_top_p) return DrawFromAll(logits, blocks, temperature, uniform);

  // 1. Which tokens can be drawn at all. Below a weight of 2^-1022 none; of the most probable top_k all are
  // among them; and where each token left out is lighter than the part top_p leaves out, spread evenly over
  // the vocabulary, they leave out less than top_p does. Half of that, so that rounding does not matter.
  const double lightest = blocks.largest() - 708.0 * temperature;
  double threshold = lightest;
  double total = 0.0;
  if (top_k > 0) {
    threshold = std::max<double>(threshold, blocks.LowerBoundOfTop(top_k));
  } else {
    total = Weights(logits, blocks.largest(), temperature, nullptr);
    const double left_out = (1.0 - static_cast<double>(params.top_p)) * total;
    threshold =
        std::max(threshold, blocks.largest() +
                                temperature * std::log(0.5 * left_out / static_cast<double>(logits.size())));
  }
  const TokenRanking ranking(
      CandidatesFrom(blocks, logits, std::nextafter(static_cast<float>(threshold), -INFINITY), temperature));

  // 2. Of these the nucleus, and the token in it.
  TokenRanking::Prefix nucleus;
  if (top_k > 0) {
    nucleus = ranking.OfCount(top_k);
    total = nucleus.weight;
  }
  if (has_top_p) {
    const TokenRanking::Prefix reached = ranking.Reaching(static_cast<double>(params.top_p) * total);
    if (top_k == 0 || reached.count < nucleus.count) nucleus = reached;
  }
  const TokenRanking::Prefix drawn = ranking.Exceeding(uniform * nucleus.weight);
  return drawn.count <= nucleus.count ? drawn.last : nucleus.last;
}

void AddLogprobs(absl::Span<const float> logits, int count, engine::Token& token) {
  const LogitBlocks blocks(logits);
  const double sum = Weights(logits, blocks.largest(), 1.0F, nullptr);
  const double log_sum = blocks.largest() + std::log(sum);
  token.logprob = static_cast<float>(logits[token.id] - log_sum);
  if (count == 0) return;
  std::vector<std::pair<float, int32_t>> top;
  blocks.ForEachFrom(blocks.LowerBoundOfTop(count), [&](int32_t id) { top.emplace_back(-logits[id], id); });
  const auto end = top.begin() + std::min<ptrdiff_t>(count, static_cast<ptrdiff_t>(top.size()));
  std::partial_sort(top.begin(), end, top.end());
  for (auto it = top.begin(); it != end; ++it)
    token.top.emplace_back(it->second, static_cast<float>(logits[it->second] - log_sum));
}

}  // namespace

bool NeedsLogits(const engine::SamplingParams& params) {
  return params.temperature > 0.0F || params.repetition_penalty != 1.0F || params.logprobs >= 0;
}

engine::Token Sample(absl::Span<const float> logits, const engine::SamplingParams& params,
                     absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated) {
  std::vector<float> penalized;
  absl::Span<const float> chosen_from = logits;
  if (params.repetition_penalty != 1.0F) {
    penalized.assign(logits.begin(), logits.end());
    Penalize(params.repetition_penalty, logits, prompt, penalized);
    Penalize(params.repetition_penalty, logits, generated, penalized);
    chosen_from = penalized;
  }
  engine::Token token;
  token.id = params.temperature > 0.0F ? Draw(chosen_from, params, generated.size())
                                       : LogitBlocks(chosen_from).first_largest();
  if (params.logprobs >= 0) AddLogprobs(logits, params.logprobs, token);
  return token;
}

}  // namespace varserve::model
