// What the runner promises the engine beyond right numbers.
#include "server/interventions/var/var_intervention.h"
#include "server/model/step_runner.h"
#include "tests/component/golden.h"
#include "tests/testing/runner_driver.h"

namespace varserve::model {
namespace {

TEST(RunnerTest, BlocksThatCannotBeClearedAreAnErrorNotAnException) {
  const testing::TinyModel tiny("clip_mha");
  const auto runner = *StepRunner::Create(tiny.Load(), 8);
  EXPECT_TRUE(runner->ClearBlocks({0, 7}).ok());
  EXPECT_TRUE(absl::IsInternal(runner->ClearBlocks({8}))) << "there is no such block";
}

TEST(RunnerTest, MakesMapsOnlyForStepsThatAskForThem) {
  const testing::TinyModel tiny("clip_mha");
  const auto runner = *StepRunner::Create(tiny.Load(), 64);
  std::vector<int32_t> ids(16, 159);
  for (int i = 0; i < 20; ++i) ids.push_back(2 + i);
  engine::GenerationRequest request;
  request.prompt = tiny.MakePrompt(ids, {{0, 16, 4, 4}});
  request.intervention = interventions::MakeVarIntervention(
      {.mode = interventions::Mode::kObserve, .tau = 3.0F, .last_layer = 3});
  request.map_layers = {1, 2};
  testing::RunnerDriver driver(*runner, request);
  driver.Run(16, false);
  driver.Run(36, true);
  EXPECT_TRUE(driver.results().back().map.has_value());
  engine::SequenceStep step = driver.Step(37, true);
  ASSERT_TRUE(step.map);
  step.map = false;
  const auto without = runner->Execute({{step}});
  step.map = true;
  const auto with = runner->Execute({{step}});
  ASSERT_TRUE(without.ok() && with.ok());
  EXPECT_FALSE(without->results[0].map.has_value());
  EXPECT_TRUE(with->results[0].map.has_value());
  EXPECT_EQ(without->results[0].token->id, with->results[0].token->id);
}

}  // namespace
}  // namespace varserve::model
