// Quantized models: the kernels of the CPU and of the cuda backend agree with the torch backend, which
// computes with the dequantized weights; and on a CPU a request's bits do not depend on its neighbours.
#include "server/interventions/var/var_intervention.h"
#include "server/model/step_runner.h"
#include "tests/component/golden.h"
#include "tests/testing/runner_driver.h"

namespace varserve::model {
namespace {

using backend::BackendKind;
using testing::RunnerDriver;

class QuantizedModelTest : public ::testing::TestWithParam<int> {
 protected:
  const testing::TinyModel tiny_{"clip_gqa"};
  std::unique_ptr<StepRunner> Runner(BackendKind backend) const {
    return *StepRunner::Create(tiny_.Load(backend, "bfloat16", GetParam()), 64);
  }
  engine::GenerationRequest Request(int text) const {
    std::vector<int32_t> ids(16, 159);
    for (int i = 0; i < text; ++i) ids.push_back(2 + i);
    engine::GenerationRequest request;
    request.prompt = tiny_.MakePrompt(ids, {{0, 16, 4, 4}});
    request.sampling = {.logprobs = 160};
    request.intervention = interventions::MakeVarIntervention({.mode = interventions::Mode::kOn,
                                                               .tau = 3.0F,
                                                               .rho = 0.2F,
                                                               .min_visual_attention = 0.0F,
                                                               .last_layer = 3});
    return request;
  }
};

TEST_P(QuantizedModelTest, EqualsTheModelOfItsRoundedWeights) {
  if (tiny_.Options().device != "cpu") GTEST_SKIP() << "on a GPU both are the torch backend";
  const auto cpu = Runner(BackendKind::kAuto);
  const auto torch = Runner(BackendKind::kTorch);
  EXPECT_EQ(cpu->model().quantization(), GetParam() == 8 ? "int8" : "int4");
  EXPECT_LT(cpu->model().weight_bytes(), torch->model().weight_bytes());
  const engine::GenerationRequest request = Request(12);
  RunnerDriver a(*cpu, request);
  RunnerDriver b(*torch, request);
  for (RunnerDriver* driver : {&a, &b}) {
    driver->Run(16, false);
    driver->Run(28, true);
  }
  // Weights, activations and sums of the torch backend are rounded to bfloat16 all along.
  EXPECT_LT(testing::LargestDifference(testing::AllLogprobs(a.sampled().back()),
                                       testing::AllLogprobs(b.sampled().back())),
            0.15);
}

TEST_P(QuantizedModelTest, EqualsTheModelOfItsRoundedWeightsOnCuda) {
  const testing::TinyModel tiny("clip_mha");
  if (const std::string why = testing::WhyNoGraphs(); !why.empty()) GTEST_SKIP() << why;
  const auto cuda = *StepRunner::Create(tiny.Load(BackendKind::kCuda, "float16", GetParam()), 64);
  const auto torch = *StepRunner::Create(tiny.Load(BackendKind::kTorch, "float16", GetParam()), 64);
  EXPECT_LT(cuda->model().weight_bytes(), torch->model().weight_bytes());
  const engine::GenerationRequest request = Request(5);
  RunnerDriver a(*cuda, request);
  RunnerDriver b(*torch, request);
  for (RunnerDriver* driver : {&a, &b}) {
    driver->Run(16, false);
    for (int end = 17; end <= 21; ++end) driver->Run(end, true);  // recorded as a graph, and launched again
  }
  EXPECT_GE(cuda->graphs().launches(), 1);
  for (size_t i = 0; i < b.sampled().size(); ++i) {
    // Both round to float16, each at other places: from sums in float32 either differs by up to 0.04 here. On
    // a processor without AVX-512 the two differed by 0.0201 at most and 0.004 on average.
    const at::Tensor of_cuda = testing::AllLogprobs(a.sampled()[i]);
    const at::Tensor of_torch = testing::AllLogprobs(b.sampled()[i]);
    EXPECT_LT(testing::LargestDifference(of_cuda, of_torch), 0.03) << i;
    EXPECT_LT((of_cuda - of_torch).abs().mean().item<double>(), 0.01) << i;
  }
}

TEST_P(QuantizedModelTest, NeighboursChangeNoBit) {
  const auto runner = Runner(BackendKind::kAuto);
  RunnerDriver alone(*runner, Request(9));
  RunnerDriver beside(*runner, Request(9), 2, 16);
  RunnerDriver neighbour(*runner, Request(14), 3, 32);
  for (RunnerDriver* driver : {&alone, &beside, &neighbour}) driver->Run(16, false);
  alone.Run(25, true);
  alone.Run(26, true);
  for (const int text : {9, 10}) {
    const engine::StepPlan plan{{beside.Step(16 + text, true), neighbour.Step(16 + text + 4, true)}};
    const auto output = runner->Execute(plan, [] {});
    ASSERT_TRUE(output.ok()) << output.status();
    beside.Apply(plan.steps[0], output->results[0]);
    neighbour.Apply(plan.steps[1], output->results[1]);
    EXPECT_EQ(beside.sampled().back().top, alone.sampled()[text - 9].top);
  }
}

INSTANTIATE_TEST_SUITE_P(Bits, QuantizedModelTest, ::testing::Values(8, 4),
                         [](const auto& info) { return "int" + std::to_string(info.param); });

TEST(QuantizedModel, NeedsSixteenBits) {
  const testing::TinyModel tiny("clip_gqa");
  VisionLanguageModel::Options options = tiny.Options();
  options.quantize_bits = 4;
  const auto model = VisionLanguageModel::Load(options, *ModelConfig::Load(tiny.dir()), tiny.LargestImage());
  EXPECT_EQ(model.status().message(),
            "--quantize: is for weights that are served in 16 bits; use it with --dtype bfloat16");
}

}  // namespace
}  // namespace varserve::model
