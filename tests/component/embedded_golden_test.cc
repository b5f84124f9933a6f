// The embedded model from its directory, picture file and question to tokens, against what transformers
// computes from the same.
#include "server/model/step_runner.h"
#include "tests/component/embedded.h"
#include "tests/component/golden.h"
#include "tests/testing/runner_driver.h"

namespace varserve::model {
namespace {

using backend::BackendKind;
using testing::Golden;
using testing::RunnerDriver;

constexpr double kTolerance = 2e-4;
constexpr int kTokens = 32;

class EmbeddedGoldenTest : public ::testing::TestWithParam<BackendKind> {};

TEST_P(EmbeddedGoldenTest, PromptAndGreedySteps) {
  LoadedModel loaded = testing::LoadEmbeddedModel({.dtype = "float32", .backend = GetParam()});
  const std::shared_ptr<const Prompt> prompt = testing::AskAboutAnimals(*loaded.preprocessor);

  const Golden golden("embedded");
  ASSERT_EQ(prompt->token_ids, golden.Ids("input_ids"));
  const at::Tensor top_ids = golden.Get("top_ids");            // [positions after the picture, top]
  const at::Tensor top_logprobs = golden.Get("top_logprobs");  // the same
  const int first = prompt->prefix_size();

  engine::GenerationRequest request;
  request.prompt = prompt;
  request.sampling.logprobs = 2 * static_cast<int>(top_ids.size(1));  // some more: ranks may change places
  const auto runner = StepRunner::Create(std::move(loaded.model), 64);
  ASSERT_TRUE(runner.ok()) << runner.status();
  RunnerDriver driver(**runner, std::move(request));
  driver.Run(first, /*sample=*/false);
  for (int row = 0; row < top_ids.size(0); ++row) {
    driver.Run(first + row + 1, /*sample=*/true);
    ASSERT_FALSE(HasFatalFailure());
    std::map<int32_t, float> logprobs;
    for (const auto& [id, value] : driver.sampled().back().top) logprobs[id] = value;
    for (int i = 0; i < top_ids.size(1); ++i) {
      const auto found = logprobs.find(static_cast<int32_t>(top_ids[row][i].item<int64_t>()));
      ASSERT_NE(found, logprobs.end()) << row << ", rank " << i;
      ASSERT_NEAR(found->second, top_logprobs[row][i].item<float>(), kTolerance) << row << ", rank " << i;
    }
  }
  EXPECT_EQ(driver.generated(), golden.Ids("tokens"));
  EXPECT_EQ(driver.generated().size(), kTokens);
}

INSTANTIATE_TEST_SUITE_P(Operators, EmbeddedGoldenTest,
                         ::testing::Values(BackendKind::kCpu, BackendKind::kTorch),
                         [](const auto& info) { return info.param == BackendKind::kCpu ? "cpu" : "torch"; });

}  // namespace
}  // namespace varserve::model
