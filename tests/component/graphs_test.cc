// Decoding steps of the cuda backend as graphs, which work on what the first step of their shape left: the
// same results as without, up to the sums of matrix products of more rows, since steps are filled up.
#include "server/interventions/var/var_intervention.h"
#include "server/model/step_runner.h"
#include "tests/component/golden.h"
#include "tests/testing/runner_driver.h"

namespace varserve::model {
namespace {

using backend::BackendKind;
using testing::RunnerDriver;

engine::GenerationRequest Request(const testing::TinyModel& tiny, int text, interventions::Mode mode) {
  std::vector<int32_t> ids(16, 159);
  for (int i = 0; i < text; ++i) ids.push_back(2 + i);
  engine::GenerationRequest request;
  request.prompt = tiny.MakePrompt(ids, {{0, 16, 4, 4}});
  request.sampling = {.logprobs = 160};
  request.intervention = interventions::MakeVarIntervention(
      {.mode = mode, .tau = 3.0F, .rho = 0.2F, .min_visual_attention = 0.0F, .last_layer = 1});
  return request;
}

// Three sequences with different settings, then two of them, then one: shapes of 4, which one fills up, 2, 1.
std::vector<std::unique_ptr<RunnerDriver>> Decode(const testing::TinyModel& tiny, StepRunner& runner) {
  std::vector<std::unique_ptr<RunnerDriver>> drivers;
  for (const auto& [text, mode] : {std::pair(3, interventions::Mode::kOn),
                                   {9, interventions::Mode::kOff},
                                   {3, interventions::Mode::kObserve}}) {
    const auto id = static_cast<int>(drivers.size());
    drivers.push_back(std::make_unique<RunnerDriver>(runner, Request(tiny, text, mode), id + 1, 8 * id));
    drivers.back()->Run(16, false);
    drivers.back()->Run(16 + text, true);
  }
  for (const size_t sequences : {3U, 3U, 2U, 2U, 1U, 1U}) {
    engine::StepPlan plan;
    for (size_t i = 0; i < sequences; ++i)
      plan.steps.push_back(drivers[i]->Step(drivers[i]->position() + 1, true));
    const auto output = runner.Execute(plan, [] {});
    EXPECT_TRUE(output.ok()) << output.status();
    for (size_t i = 0; i < plan.steps.size(); ++i) drivers[i]->Apply(plan.steps[i], output->results[i]);
  }
  return drivers;
}

TEST(GraphsTest, GiveTheSameResults) {
  const testing::TinyModel tiny("clip_mha", [](nlohmann::json& spec) {  // the interpreter is slow
    spec["config"]["text_config"]["num_hidden_layers"] = 2;
  });
  if (const std::string why = testing::WhyNoGraphs(); !why.empty()) GTEST_SKIP() << why;
  const bool on_gpu = testing::TestDevice() == "cuda";
  const std::string dtype = on_gpu ? "float16" : "float32";
  const double tolerance = on_gpu ? 0.05 : 1e-4;
  const auto eager = *StepRunner::Create(tiny.Load(BackendKind::kCuda, dtype), 32, {.enforce_eager = true});
  const auto fail = [](absl::string_view why) { FAIL() << why; };
  const auto with_graphs =
      *StepRunner::Create(tiny.Load(BackendKind::kCuda, dtype), 32, {.on_graph_failure = fail});
  const auto expected = Decode(tiny, *eager);
  const auto actual = Decode(tiny, *with_graphs);
  EXPECT_EQ(eager->graphs().launches(), 0);
  EXPECT_GE(with_graphs->graphs().launches(), 3);
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!on_gpu) {
      EXPECT_EQ(actual[i]->generated(), expected[i]->generated());
    }
    ASSERT_EQ(actual[i]->results().size(), expected[i]->results().size());
    for (size_t r = 0; r < expected[i]->results().size(); ++r) {
      const engine::SequenceResult& a = actual[i]->results()[r];
      const engine::SequenceResult& e = expected[i]->results()[r];
      ASSERT_EQ(a.measures.size(), e.measures.size());
      for (size_t n = 0; n < e.measures.size(); ++n)
        EXPECT_NEAR(a.measures[n], e.measures[n], tolerance * e.measures[n]);
      if (e.token.has_value()) {
        EXPECT_LE(testing::LargestDifference(testing::AllLogprobs(*a.token), testing::AllLogprobs(*e.token)),
                  tolerance);
      }
      ASSERT_EQ(a.rows.size(), e.rows.size());
      for (size_t n = 0; n < e.rows.size(); ++n)
        EXPECT_NEAR(a.rows[n].redistributed, e.rows[n].redistributed, tolerance);
    }
  }
}

}  // namespace
}  // namespace varserve::model
