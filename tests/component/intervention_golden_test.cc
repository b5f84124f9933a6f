// PAI, VAF and SPIN against an independent slow reference: 32 greedy tokens, their logits, and attention.
// Three tokens where the kernels are interpreted.
#include "server/interventions/attention/row_intervention.h"
#include "server/model/step_runner.h"
#include "tests/component/golden.h"
#include "tests/testing/runner_driver.h"

namespace varserve::model {
namespace {

using interventions::ChangedRows;
using interventions::RowChange;
using interventions::RowSetting;
using nlohmann::json;
using testing::Golden;
using testing::RunnerDriver;
using testing::TinyModel;

constexpr double kTolerance = 2e-4;
constexpr double kShareTolerance = 1e-4;
constexpr int kVocabulary = 160;
constexpr int kTokens = 32;

RowSetting SettingOf(const json& c, int num_heads) {
  const json& s = c["settings"];
  const auto method = c["method"].get<std::string>();
  RowSetting setting;
  setting.rows = method == "vaf" ? ChangedRows::kText : ChangedRows::kAnswer;
  setting.row.change = method == "spin" ? RowChange::kSuppressHeads : RowChange::kReweigh;
  setting.row.first_layer = s["first_layer"].get<int>();
  setting.row.last_layer = s["last_layer"].get<int>();
  if (method == "pai") setting.row.visual_boost = s["alpha"].get<float>();
  if (method == "vaf") {
    setting.row.visual_scale = s["visual_scale"].get<float>();
    setting.row.text_scale = s["text_scale"].get<float>();
  }
  if (method == "spin") {
    setting.row.kept_heads =
        static_cast<int32_t>(s["kept_head_ratio"].get<float>() * static_cast<float>(num_heads));
    setting.row.suppressed_gain = s["suppressed_gain"].get<float>();
  }
  return setting;
}

class InterventionGoldenTest : public ::testing::TestWithParam<testing::ModelAndBackend> {
 protected:
  void SetUp() override {
    if (const std::string why = testing::WhyNot(GetParam()); !why.empty()) GTEST_SKIP() << why;
  }
  const int num_tokens_ = std::get<1>(GetParam()) == backend::BackendKind::kCuda ? 3 : kTokens;
};

TEST_P(InterventionGoldenTest, TokensLogitsAndAttention) {
  const std::string name = std::get<0>(GetParam());
  const TinyModel tiny(name);
  const Golden golden(name + ".interventions");
  const auto runner = *StepRunner::Create(tiny.Load(std::get<1>(GetParam())), 64);
  const int num_layers = runner->facts().num_layers;
  for (const json& c : ReadJson(RepositoryPath("tests/golden/data/" + name + ".interventions.json"))) {
    const auto case_name = c["name"].get<std::string>();
    SCOPED_TRACE(case_name);
    engine::GenerationRequest request;
    request.prompt = tiny.MakePrompt(c["input_ids"].get<std::vector<int32_t>>(),
                                     c["spans"].get<std::vector<std::vector<int>>>());
    request.intervention = interventions::MakeRowIntervention(SettingOf(c, runner->facts().num_heads));
    request.sampling.logprobs = kVocabulary;
    request.sampling.max_tokens = num_tokens_;
    RunnerDriver driver(*runner, request);
    driver.Run(request.prompt->prefix_size(), false);
    driver.Run(request.prompt->size(), true);
    while (std::ssize(driver.generated()) < num_tokens_ && !HasFatalFailure())
      driver.Run(driver.position() + 1, true);

    std::vector<int32_t> tokens = golden.Ids(case_name + "/tokens");
    tokens.resize(num_tokens_);
    EXPECT_EQ(driver.generated(), tokens);
    const at::Tensor steps = golden.Get(case_name + "/step_logits").log_softmax(-1);
    ASSERT_EQ(std::ssize(driver.sampled()), num_tokens_);
    for (int i = 0; i < num_tokens_; ++i) {
      EXPECT_LT(testing::LargestDifference(testing::AllLogprobs(driver.sampled()[i]), steps[i]), kTolerance)
          << i;
    }
    const at::Tensor shares = golden.Get(case_name + "/shares");  // [rows, L, 3]
    int64_t row = 0;
    for (const engine::SequenceResult& result : driver.results()) {
      for (size_t i = 0; i < result.rows.size(); i += num_layers, ++row) {
        for (int64_t l = 0; l < num_layers; ++l) {
          const interventions::AttentionShares& share = result.rows[i + l];
          const at::Tensor expected = shares[row][l];
          EXPECT_NEAR(share.changed_heads, expected[0].item<double>(), 1e-6) << row << " " << l;
          EXPECT_NEAR(share.visual_before, expected[1].item<double>(), kShareTolerance) << row << " " << l;
          EXPECT_NEAR(share.visual_after, expected[2].item<double>(), kShareTolerance) << row << " " << l;
        }
      }
    }
    EXPECT_EQ(row, shares.size(0) - (kTokens - num_tokens_));
  }
}

INSTANTIATE_TEST_SUITE_P(Models, InterventionGoldenTest,
                         ::testing::Combine(::testing::Values("clip_mha", "clip_gqa", "qwen3", "qwen2_5_vl"),
                                            ::testing::Values(backend::BackendKind::kCpu,
                                                              backend::BackendKind::kTorch)),
                         testing::ModelAndBackendName);
INSTANTIATE_TEST_SUITE_P(Interpreted, InterventionGoldenTest, testing::OneModelOnCuda(),
                         testing::ModelAndBackendName);

}  // namespace
}  // namespace varserve::model
