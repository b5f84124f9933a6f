// Contrasts: the arithmetic, the noise, and how the options are read and described.
#include <cmath>
#include <limits>
#include <numeric>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/interventions/contrast/combine.h"
#include "server/interventions/icd/icd.h"
#include "server/interventions/m3id/m3id.h"
#include "server/interventions/pai/pai.h"
#include "server/interventions/table/contrast_table.h"
#include "server/interventions/table/table.h"
#include "server/interventions/vcd/diffusion_noise.h"
#include "server/interventions/vcd/vcd.h"
#include "tests/unit/telemetry/registry_text.h"

namespace varserve::interventions {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::FloatNear;

constexpr float kCut = -std::numeric_limits<float>::infinity();

TEST(CombineLogitsTest, MovesAwayFromTheSiblingAndCutsTheImplausible) {
  const std::vector<float> logits = {2.0F, 1.0F, -0.2F, -0.5F};
  const std::vector<float> sibling = {3.0F, 0.5F, 0.0F, -9.0F};
  std::vector<float> combined;
  // log 0.1 is -2.303: the last token is below 2 - 2.303.
  const ContrastEvidence evidence =
      CombineLogits({.weight = 1.0F, .beta = 0.1F}, 1, logits, sibling, combined);
  EXPECT_THAT(combined, ElementsAre(FloatEq(1.0F), FloatEq(1.5F), FloatEq(-0.4F), kCut));
  EXPECT_TRUE(evidence.contrasted);
  EXPECT_TRUE(evidence.changed);
  EXPECT_EQ(evidence.plausible_tokens, 3);
}

// The published forms, written out, are the same up to a constant.
TEST(CombineLogitsTest, IsTheFormulaOfEachMethod) {
  const std::vector<double> z = {2.0, 1.0, -0.2, 0.5};
  const std::vector<double> u = {3.0, 0.5, 0.0, -1.0};
  const auto log_sum = [](const std::vector<double>& logits) {
    return std::log(std::accumulate(logits.begin(), logits.end(), 0.0,
                                    [](double sum, double logit) { return sum + std::exp(logit); }));
  };
  const auto differences = [](const auto& values) {
    return std::vector<float>{static_cast<float>(values[1] - values[0]),
                              static_cast<float>(values[2] - values[0]),
                              static_cast<float>(values[3] - values[0])};
  };
  const auto expect = [&](const ContrastRule& rule, int count, const auto& formula) {
    std::vector<float> combined;
    CombineLogits(rule, count, std::vector<float>(z.begin(), z.end()), std::vector<float>(u.begin(), u.end()),
                  combined);
    std::vector<double> expected;
    for (size_t i = 0; i < z.size(); ++i) expected.push_back(formula(z[i], u[i]));
    EXPECT_THAT(differences(combined), ::testing::Pointwise(FloatNear(1e-5F), differences(expected)));
  };
  expect({.weight = 0.7F}, 3, [](double l, double n) { return 1.7 * l - 0.7 * n; });  // VCD, ICD
  const double lc = log_sum(z);
  const double lu = log_sum(u);
  expect({.weight = 0.1F}, 3, [&](double l, double n) {  // PAI
    return 1.1 * ((l - lc) - (n - lu)) + (n - lu);
  });
  const double forgotten = (1 - std::exp(-0.02 * 7)) / std::exp(-0.02 * 7);
  expect({.forgetting_rate = 0.02F}, 7,
         [&](double l, double n) { return (l - lc) + forgotten * ((l - lc) - (n - lu)); });  // M3ID
}

TEST(CombineLogitsTest, NeutralParametersChangeNoBit) {
  const std::vector<float> logits = {0.1F, -7.3F, 1e-20F, 12.7F};
  const std::vector<float> sibling = {1e10F, 3.1F, -2.0F, 0.3F};
  for (const ContrastRule& rule :
       {ContrastRule{}, ContrastRule{.forgetting_rate = 0.5F, .confidence = 0.0F}}) {
    std::vector<float> combined;
    const ContrastEvidence evidence = CombineLogits(rule, 100, logits, sibling, combined);
    EXPECT_EQ(combined, logits);
    EXPECT_FALSE(evidence.contrasted || evidence.changed);
    EXPECT_EQ(evidence.plausible_tokens, 4);
  }
}

TEST(CombineLogitsTest, LeavesConfidentTokensAlone) {
  // The largest probability is e / (e + 1), 0.731.
  const std::vector<float> logits = {1.0F, 0.0F};
  const std::vector<float> sibling = {5.0F, 0.0F};
  std::vector<float> combined;
  EXPECT_FALSE(
      CombineLogits({.forgetting_rate = 0.1F, .confidence = 0.73F}, 5, logits, sibling, combined).contrasted);
  EXPECT_EQ(combined, logits);
  EXPECT_TRUE(
      CombineLogits({.forgetting_rate = 0.1F, .confidence = 0.74F}, 5, logits, sibling, combined).contrasted);
  EXPECT_THAT(combined[0], FloatEq(1.0F - 4.0F * (std::exp(0.5F) - 1.0F)));
}

TEST(CombineLogitsTest, StaysFiniteHoweverLongTheAnswer) {
  const std::vector<float> logits = {1.0F, 0.0F};
  std::vector<float> combined;
  CombineLogits({.forgetting_rate = 1.0F}, 100000, logits, {logits.data(), 2}, combined);
  EXPECT_EQ(combined, logits);
}

// Values of vcd_add_noise.py's schedule, computed in double.
TEST(DiffusionNoiseTest, FollowsThePublishedSchedule) {
  for (const auto& [step, signal, noise] :
       {std::tuple(0, 0.9999888307F, 0.0047263506F), std::tuple(250, 0.9891338086F, 0.1470180556F),
        std::tuple(500, 0.8630171065F, 0.5051746965F), std::tuple(999, 0.2850424430F, 0.9585148959F)}) {
    EXPECT_NEAR(DiffusionNoise(step, 0).signal, signal, 1e-6) << step;
    EXPECT_NEAR(DiffusionNoise(step, 0).noise, noise, 1e-6) << step;
  }
}

TEST(DiffusionNoiseTest, IsTheSameForTheSameSeed) {
  std::vector<float> pixels(5);
  AddNoise({.signal = 0.0F, .noise = 1.0F, .seed = 7}, absl::MakeSpan(pixels));
  EXPECT_THAT(pixels, ElementsAre(FloatNear(1.3649923F, 1e-6), FloatNear(0.1445212F, 1e-6),
                                  FloatNear(-0.3965240F, 1e-6), FloatNear(-0.2275963F, 1e-6),
                                  FloatNear(0.0044985F, 1e-6)));
  std::vector<float> many(100000, 2.0F);
  AddNoise({.signal = 0.5F, .noise = 3.0F, .seed = 1}, absl::MakeSpan(many));
  const double mean = std::accumulate(many.begin(), many.end(), 0.0) / 1e5;
  const double squares =
      std::accumulate(many.begin(), many.end(), 0.0, [](double sum, float x) { return sum + x * x; }) / 1e5;
  EXPECT_NEAR(mean, 1.0, 0.03);
  EXPECT_NEAR(std::sqrt(squares - mean * mean), 3.0, 0.03);
}

TEST(DiffusionNoiseTest, APictureWithNoiseIsAnother) {
  auto normalization = std::make_shared<Normalization>();
  for (auto& channel : *normalization) std::iota(channel.begin(), channel.end(), -100.0F);
  auto image = std::make_shared<ProcessedImage>();
  image->height = 2;
  image->width = 3;
  image->rgb.assign(18, 150);
  image->normalization = normalization;
  image->digest.fill(9);
  const auto noisy = WithNoise(image, 500, 3);
  std::vector<float> expected = image->Pixels();
  AddNoise(DiffusionNoise(500, 3), absl::MakeSpan(expected));
  EXPECT_EQ(noisy->Pixels(), expected);
  EXPECT_EQ(noisy->height, 2);
  EXPECT_EQ(WithNoise(image, 500, 3)->digest, noisy->digest);
  for (const auto& other : {std::shared_ptr<const ProcessedImage>(image), WithNoise(image, 501, 3),
                            WithNoise(image, 500, 4), WithNoise(noisy, 500, 3)})
    EXPECT_NE(other->digest, noisy->digest);

  Prompt prompt;
  prompt.images = {image, image};
  const auto pictures = WithNoise(prompt, 500, 3)->images;
  EXPECT_EQ(pictures[0]->digest, noisy->digest);
  EXPECT_EQ(pictures[1]->digest, WithNoise(image, 500, 4)->digest) << "noise of its own";
}

TEST(ContrastOptionsTest, DefaultsAreTheAuthors) {
  const auto vcd = *ReadVcd({});
  EXPECT_EQ(vcd->rule.weight, 1.0F);
  EXPECT_EQ(vcd->rule.beta, 0.1F);
  EXPECT_EQ(vcd->effective.vcd().noise_step(), 500U);
  EXPECT_TRUE(vcd->effective.vcd().has_noise_seed());
  EXPECT_EQ(std::get<NoisyPictures>(vcd->sibling).step, 500);
  const auto icd = *ReadIcd({});
  EXPECT_EQ(icd->rule.weight, 1.0F);
  EXPECT_EQ(std::get<DisturbedInstruction>(icd->sibling).disturbance, icd->effective.icd().disturbance());
  EXPECT_THAT(icd->effective.icd().disturbance(), ::testing::StartsWith("You are a confused objects"));
  const auto m3id = *ReadM3id({});
  EXPECT_EQ(m3id->rule.forgetting_rate, 0.02F);
  EXPECT_EQ(m3id->rule.confidence, 0.9F);
  EXPECT_EQ(m3id->rule.beta, 0.0F);
  EXPECT_TRUE(m3id->effective.m3id().has_beta());
  EXPECT_EQ(PaiContrast({}), nullptr);
  v1::PaiOptions pai;
  pai.set_gamma(1.1F);
  EXPECT_THAT(PaiContrast(pai)->rule.weight, FloatNear(0.1F, 1e-6));
  EXPECT_EQ(PaiContrast(pai)->rule.beta, 0.1F);
}

TEST(ContrastOptionsTest, ErrorsNameTheField) {
  const auto problem = [](const auto& read) { return std::string(read.status().message()); };
  v1::VcdOptions vcd;
  vcd.set_alpha(-1);
  EXPECT_EQ(problem(ReadVcd(vcd)), "alpha: -1 is not in [0, 10]");
  vcd.set_alpha(0);
  vcd.set_beta(1.5);
  EXPECT_EQ(problem(ReadVcd(vcd)), "beta: 1.5 is not in [0, 1]");
  vcd.clear_beta();
  vcd.set_noise_step(1000);
  EXPECT_EQ(problem(ReadVcd(vcd)), "noise_step: 1000 is not in [0, 999]");
  v1::IcdOptions icd;
  icd.set_disturbance("");
  EXPECT_EQ(problem(ReadIcd(icd)), "disturbance: its size: 0 is not in [1, 1024]");
  v1::M3idOptions m3id;
  m3id.set_forgetting_rate(2);
  EXPECT_EQ(problem(ReadM3id(m3id)), "forgetting_rate: 2 is not in [0, 1]");
  m3id.clear_forgetting_rate();
  m3id.set_confidence(std::nanf(""));
  EXPECT_EQ(problem(ReadM3id(m3id)), "confidence: nan is not in [0, 1]");
  v1::PaiOptions pai;
  pai.set_gamma(0.5);
  EXPECT_EQ(problem(ReadPai(pai, {.num_layers = 4, .num_heads = 2})), "gamma: 0.5 is not in [1, 10]");
}

TEST(ContrastReportTest, MessagesAndMetricsAreByMethod) {
  const auto setting = *ReadVcd({});
  ContrastReport report;
  report.method = setting->method;
  report.sibling_prompt_tokens = 20;
  report.sibling_cached_tokens = 8;
  report.Add({.contrasted = true, .changed = true, .plausible_tokens = 3});
  report.Add({.contrasted = true, .plausible_tokens = 4});
  const v1::ContrastReport proto = setting->ToProto(report);
  EXPECT_EQ(proto.tokens(), 2U);
  EXPECT_EQ(proto.contrasted_tokens(), 2U);
  EXPECT_EQ(proto.changed_tokens(), 1U);
  EXPECT_EQ(proto.plausible_tokens(), 3.5F);
  EXPECT_EQ(setting->ToProto({}).plausible_tokens(), 0.0F);

  const telemetry::MetricFamilies families{"m"};
  for (const telemetry::MakeReportMetrics make : ContrastMetricsMakers()) make(families)->OnReport(report);
  auto series = telemetry::SeriesOf(*families.registry());
  EXPECT_EQ(series["varserve_sibling_prompt_tokens_total{method=vcd}"], 20);
  EXPECT_EQ(series["varserve_sibling_cached_tokens_total{method=vcd}"], 8);
  EXPECT_EQ(series["varserve_contrast_tokens_total{method=vcd}"], 2);
  EXPECT_EQ(series["varserve_contrast_changed_tokens_total{method=vcd}"], 1);
  EXPECT_EQ(series["varserve_contrast_tokens_total{method=icd}"], 0);
}

}  // namespace
}  // namespace varserve::interventions
