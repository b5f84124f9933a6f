#include "server/interventions/contrast/combine.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace varserve::interventions {
namespace {

constexpr double kMostWeight = 1e6;  // keeps the combined logits finite

// Of the token with the largest logit.
double LargestProbability(absl::Span<const float> logits, float largest) {
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit - largest));
  return 1.0 / sum;
}

float WeightOf(const ContrastRule& rule, int count, absl::Span<const float> logits, float largest) {
  if (std::isfinite(rule.confidence) && LargestProbability(logits, largest) >= rule.confidence) return 0.0F;
  const double forgotten = std::expm1(static_cast<double>(rule.forgetting_rate) * count);
  return static_cast<float>(std::min(rule.weight + forgotten, kMostWeight));
}

}  // namespace

ContrastEvidence CombineLogits(const ContrastRule& rule, int count, absl::Span<const float> logits,
                               absl::Span<const float> sibling, std::vector<float>& combined) {
  const auto best = std::max_element(logits.begin(), logits.end());
  const float weight = WeightOf(rule, count, logits, *best);
  // With beta 0 this is -infinity.
  const float least = *best + std::log(rule.beta);
  ContrastEvidence evidence{.contrasted = weight > 0.0F};
  combined.resize(logits.size());
  for (size_t id = 0; id < logits.size(); ++id) {
    const bool plausible = logits[id] >= least;
    evidence.plausible_tokens += plausible;
    combined[id] = plausible ? logits[id] + weight * (logits[id] - sibling[id])
                             : -std::numeric_limits<float>::infinity();
  }
  evidence.changed =
      std::max_element(combined.begin(), combined.end()) - combined.begin() != best - logits.begin();
  return evidence;
}

}  // namespace varserve::interventions
