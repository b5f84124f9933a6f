// Sampling from a GPU's leading tokens against sampling from all logits.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <optional>
#include <random>

#include "server/model/sampler.h"
#include "tests/testing/leading_reference.h"
#include "tests/unit/model/shaped_logits.h"

namespace varserve::model {
namespace {

using engine::SamplingParams;

// The same, or nothing.
TEST(LeadingTokensTest, AreAsGoodAsAll) {
  Sampler sampler;
  std::mt19937 random(23);
  const auto pick = [&random](const auto& values) { return values[random() % std::size(values)]; };
  int undecided = 0;
  int decided_of_some = 0;
  for (const size_t n : {1, 65, 1000, 1025, 3000, 20000}) {
    for (int i = 0; i < (n > 1000 ? 300 : 1000); ++i) {
      const std::vector<float> logits = ShapedLogits(n, i % 6, random());
      const SamplingParams params{
          .temperature = pick(std::to_array({0.0F, 0.05F, 0.3F, 1.0F, 5.0F})),
          .top_p = pick(std::to_array({0.1F, 0.9F, std::nextafter(1.0F, 0.0F), 1.0F})),
          .top_k = pick(std::to_array({0, 0, 1, 50, 400, static_cast<int>(n)})),
          .seed = random(),
          .logprobs = pick(std::to_array({-1, 0, 5, 20}))};
      const size_t step = random() % 5;
      const backend::LeadingTokens leading =
          testing::LeadingOf(logits, params.temperature > 0 ? params.temperature : 1.0F);
      const std::optional<engine::Token> token =
          sampler.Sample(leading, static_cast<int64_t>(n), params, step);
      if (!token.has_value()) {
        EXPECT_GT(n, backend::LeadingTokens::kRoom) << "all are there";
        ++undecided;
        continue;
      }
      decided_of_some += leading.count < static_cast<float>(n) ? 1 : 0;
      const engine::Token expected = sampler.Sample(logits, params, {}, std::vector<int32_t>(step));
      ASSERT_EQ(token->id, expected.id)
          << n << " logits of shape " << i % 6 << ", temperature " << params.temperature << ", top_p "
          << params.top_p << ", top_k " << params.top_k << ", seed " << params.seed;
      if (params.logprobs < 0) continue;
      EXPECT_NEAR(token->logprob, expected.logprob, 2e-6 * std::max(1.0F, std::abs(expected.logprob)));
      ASSERT_EQ(token->top.size(), expected.top.size());
      for (size_t j = 0; j < expected.top.size(); ++j) EXPECT_EQ(token->top[j].first, expected.top[j].first);
    }
  }
  EXPECT_GT(undecided, 100);
  EXPECT_GT(decided_of_some, 200);
}

}  // namespace
}  // namespace varserve::model
