#include "server/model/sampler.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "tests/unit/model/shaped_logits.h"

namespace varserve::model {
namespace {

using engine::SamplingParams;

// One sampler for all: what it keeps from one call must not show in the next.
engine::Token Sample(absl::Span<const float> logits, const SamplingParams& params,
                     absl::Span<const int32_t> prompt, absl::Span<const int32_t> generated) {
  static Sampler sampler;
  return sampler.Sample(logits, params, prompt, generated);
}

// What the sampler computes, as it is defined: by sorting all tokens by probability, ties by id.
class Reference {
 public:
  static int32_t Choose(std::vector<float> logits, const SamplingParams& p,
                        const std::vector<int32_t>& prompt, const std::vector<int32_t>& generated) {
    std::set<int32_t> seen(prompt.begin(), prompt.end());
    seen.insert(generated.begin(), generated.end());
    for (const int32_t id : seen) {
      logits[id] = logits[id] > 0 ? logits[id] / p.repetition_penalty : logits[id] * p.repetition_penalty;
    }
    const auto largest = std::max_element(logits.begin(), logits.end());
    if (p.temperature == 0.0F) return static_cast<int32_t>(largest - logits.begin());
    std::vector<double> weights;
    for (const float x : logits)
      weights.push_back(std::exp((static_cast<double>(x) - *largest) / static_cast<double>(p.temperature)));
    std::vector<int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
    if (p.top_k > 0) order.resize(std::min<size_t>(p.top_k, order.size()));
    if (p.top_p < 1.0F) {
      const double enough = static_cast<double>(p.top_p) * Sum(order, weights);
      double mass = 0;
      size_t kept = 0;
      while (kept < order.size() && (kept == 0 || mass < enough)) mass += weights[order[kept++]];
      order.resize(kept);
    }
    return At(Uniform(p.seed, generated.size()), order, weights);
  }

 private:
  // What `share` of the weights, added in order, leads to.
  static int32_t At(double share, const std::vector<int32_t>& order, const std::vector<double>& weights) {
    double left = share * Sum(order, weights);
    for (const int32_t id : order) {
      left -= weights[id];
      if (left < 0.0) return id;
    }
    return order.back();
  }
  static double Uniform(uint64_t seed, uint64_t step) {  // SplitMix64
    uint64_t z = seed + (step + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
  }
  static double Sum(const std::vector<int32_t>& ids, const std::vector<double>& weights) {
    double sum = 0.0;
    for (const int32_t id : ids) sum += weights[id];
    return sum;
  }
};

TEST(SamplerTest, ChoosesWhatTheDefinitionChooses) {
  std::mt19937 random(17);
  const auto pick = [&random](const auto& values) { return values[random() % std::size(values)]; };
  for (const size_t n : {1, 2, 63, 64, 65, 300, 1000, 20000}) {
    for (int i = 0; i < (n > 1000 ? 60 : 1500); ++i) {
      const std::vector<float> logits = ShapedLogits(n, i % 6, random());
      const std::vector<int32_t> prompt = {0, static_cast<int32_t>(random() % n),
                                           static_cast<int32_t>(n - 1)};
      const std::vector<int32_t> generated(random() % 5, static_cast<int32_t>(random() % n));
      const SamplingParams params{
          .temperature = pick(std::to_array({0.0F, 0.05F, 0.7F, 1.0F, 5.0F})),
          .top_p =
              pick(std::to_array({1e-6F, 0.1F, 0.3F, 0.9F, 0.999F, std::nextafter(1.0F, 0.0F), 1.0F, 1.0F})),
          .top_k = pick(std::to_array({0, 0, 0, 1, 7, 50, 400, static_cast<int>(n)})),
          .repetition_penalty = pick(std::to_array({1.0F, 1.3F, 0.5F})),
          .seed = random()};
      ASSERT_EQ(Sample(logits, params, prompt, generated).id,
                Reference::Choose(logits, params, prompt, generated))
          << n << " logits of shape " << i % 6 << ", temperature " << params.temperature << ", top_p "
          << params.top_p << ", top_k " << params.top_k << ", penalty " << params.repetition_penalty
          << ", seed " << params.seed;
    }
  }
}

// Probabilities by the definition: softmax of logits / temperature over the tokens top_k and top_p leave.
std::vector<double> Expected(const std::vector<float>& logits, const SamplingParams& p) {
  std::vector<double> probability(logits.size());
  const double top = *std::max_element(logits.begin(), logits.end());
  for (size_t i = 0; i < logits.size(); ++i) probability[i] = std::exp((logits[i] - top) / p.temperature);
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return probability[a] > probability[b]; });
  const size_t kept_by_k = p.top_k > 0 ? std::min<size_t>(p.top_k, order.size()) : order.size();
  double total = 0;
  for (size_t i = 0; i < kept_by_k; ++i) total += probability[order[i]];
  double mass = 0;
  size_t kept = 0;
  while (kept < kept_by_k && (kept == 0 || mass < p.top_p * total)) mass += probability[order[kept++]];
  for (size_t i = kept; i < order.size(); ++i) probability[order[i]] = 0;
  for (double& x : probability) x /= mass;
  return probability;
}

TEST(SamplerTest, GreedyTakesTheLargest) {
  const std::vector<float> logits = {1, 5, -2, 5, 3};
  EXPECT_EQ(Sample(logits, {}, {}, {}).id, 1);  // the first of equals
}

TEST(SamplerTest, FrequenciesFollowTheDistribution) {
  const std::vector<float> logits = RandomLogits(40, 1, 1.5F);
  for (const auto& [temperature, top_k, top_p] : {std::tuple<float, int, float>{1.0F, 0, 1.0F},
                                                  {0.7F, 5, 1.0F},
                                                  {1.3F, 0, 0.6F},
                                                  {1.0F, 10, 0.5F},
                                                  {1.3F, 0, 0.2F},
                                                  {0.2F, 40, 0.99F}}) {
    SamplingParams params{.temperature = temperature, .top_p = top_p, .top_k = top_k, .seed = 99};
    const std::vector<double> expected = Expected(logits, params);
    constexpr int kDraws = 20000;
    std::vector<int> counts(logits.size());
    std::vector<int32_t> generated;
    for (int i = 0; i < kDraws; ++i) {
      const int32_t id = Sample(logits, params, {}, generated).id;
      ++counts[id];
      generated.push_back(id);
    }
    for (size_t i = 0; i < logits.size(); ++i) {
      const double deviation = std::sqrt(expected[i] * (1 - expected[i]) / kDraws);
      EXPECT_NEAR(static_cast<double>(counts[i]) / kDraws, expected[i], 5 * deviation + 1e-9) << i;
    }
  }
}

TEST(SamplerTest, NucleusIsTheSmallestSetAlsoInLargeVocabularies) {
  const std::vector<float> logits = RandomLogits(50000, 2, 0.3F);  // flat: thousands of tokens are needed
  SamplingParams params{.temperature = 1.0F, .top_p = 0.2F, .seed = 5};
  const std::vector<double> expected = Expected(logits, params);
  std::vector<int32_t> generated;
  for (int i = 0; i < 300; ++i) {
    const int32_t id = Sample(logits, params, {}, generated).id;
    EXPECT_GT(expected[id], 0.0);
    generated.push_back(id);
  }
}

TEST(SamplerTest, SeedAndStepDecideAlone) {
  const std::vector<float> logits = RandomLogits(1000, 3);
  const std::vector<int32_t> some = {1, 2, 3};
  const std::vector<int32_t> others = {9, 9, 9};
  std::map<int32_t, int> seen;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const SamplingParams params{.temperature = 2.0F, .seed = seed};
    const int32_t id = Sample(logits, params, {}, some).id;
    EXPECT_EQ(Sample(logits, params, some, others).id, id);
    ++seen[id];
  }
  EXPECT_GT(seen.size(), 30);  // seeds differ
}

TEST(SamplerTest, RepetitionPenaltyActsOnPromptAndAnswerOnce) {
  const std::vector<float> logits = {4.0F, 3.9F, -1.0F};
  const std::vector<int32_t> zero = {0, 0, 0};
  EXPECT_EQ(Sample(logits, {.repetition_penalty = 1.05F}, zero, {}).id, 1);
  EXPECT_EQ(Sample(logits, {.repetition_penalty = 1.05F}, {}, zero).id, 1);
  // Divided once, not three times: 4 / 1.02 > 3.9.
  EXPECT_EQ(Sample(logits, {.repetition_penalty = 1.02F}, zero, zero).id, 0);
  // Negative logits are multiplied.
  EXPECT_EQ(Sample(std::vector<float>{-1.0F, -1.5F}, {.repetition_penalty = 2.0F}, zero, {}).id, 1);
}

TEST(SamplerTest, LogprobsAreTheModelsOwn) {
  const std::vector<float> logits = RandomLogits(100, 4);
  double sum = 0;
  for (const float x : logits) sum += std::exp(static_cast<double>(x));
  const auto token =
      Sample(logits, {.temperature = 5.0F, .repetition_penalty = 3.0F, .seed = 1, .logprobs = 3}, {}, {});
  EXPECT_NEAR(token.logprob, logits[token.id] - std::log(sum), 1e-5);
  ASSERT_EQ(token.top.size(), 3);
  EXPECT_EQ(token.top[0].first, std::max_element(logits.begin(), logits.end()) - logits.begin());
  EXPECT_NEAR(token.top[0].second, logits[token.top[0].first] - std::log(sum), 1e-5);
  EXPECT_GE(token.top[1].second, token.top[2].second);
  EXPECT_TRUE(Sample(logits, {.logprobs = 0}, {}, {}).top.empty());
}

TEST(SamplerTest, AlternativesAreTheMostProbableTiesById) {
  for (const size_t n : {5, 64, 700, 5000}) {
    for (int shape = 0; shape < 6; ++shape) {
      const std::vector<float> logits = ShapedLogits(n, shape, static_cast<uint32_t>(n) + shape);
      std::vector<int32_t> order(n);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(),
                       [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
      order.resize(std::min<size_t>(20, n));
      std::erase_if(order, [&](int32_t id) { return std::isinf(logits[id]); });  // no alternatives
      std::vector<int32_t> top;
      for (const auto& [id, logprob] : Sample(logits, {.logprobs = 20}, {}, {}).top) top.push_back(id);
      EXPECT_EQ(top, order) << n << " logits of shape " << shape;
    }
  }
}

TEST(SamplerTest, NeedsWhatTheRequestAsksFor) {
  const auto needed = [](const SamplingParams& params, bool contrasts = false) {
    engine::GenerationRequest request;
    request.sampling = params;
    engine::SequenceStep step;
    step.request = &request;
    step.contrasts = contrasts;
    return LogitsNeededBy(step);
  };
  EXPECT_EQ(needed({}), LogitsNeeded::kLargest);
  EXPECT_EQ(needed({.temperature = 0.5F}), LogitsNeeded::kLeading);
  EXPECT_EQ(needed({.logprobs = 0}), LogitsNeeded::kLeading);
  EXPECT_EQ(needed({.temperature = 0.5F, .repetition_penalty = 1.1F}), LogitsNeeded::kAll);
  EXPECT_EQ(needed({}, /*contrasts=*/true), LogitsNeeded::kAll);
}

}  // namespace
}  // namespace varserve::model
