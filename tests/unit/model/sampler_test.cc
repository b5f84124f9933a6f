#include "server/model/sampler.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

namespace varserve::model {
namespace {

using engine::SamplingParams;

std::vector<float> RandomLogits(size_t n, uint32_t seed, float scale = 3.0F) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> logits(n);
  for (float& x : logits) x = normal(random);
  return logits;
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
  EXPECT_FALSE(NeedsLogits({}));
}

TEST(SamplerTest, FrequenciesFollowTheDistribution) {
  const std::vector<float> logits = RandomLogits(40, 1, 1.5F);
  for (const auto& [temperature, top_k, top_p] : {std::tuple<float, int, float>{1.0F, 0, 1.0F},
                                                  {0.7F, 5, 1.0F},
                                                  {1.3F, 0, 0.6F},
                                                  {1.0F, 10, 0.5F},
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
  SamplingParams params{.temperature = 1.0F, .top_p = 0.3F, .seed = 5};
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

}  // namespace
}  // namespace varserve::model
