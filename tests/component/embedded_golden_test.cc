// The embedded model from its directory, picture file and question to tokens, against what transformers
// computes from the same.
#include <cstdlib>

#include "server/chat/preprocessor.h"
#include "server/loader/model_loader.h"
#include "server/model/step_runner.h"
#include "tests/component/golden.h"
#include "tests/testing/runner_driver.h"

namespace varserve::model {
namespace {

using backend::BackendKind;
using testing::Golden;
using testing::RunnerDriver;
using text::ImagePart;

constexpr double kTolerance = 2e-4;
constexpr int kTokens = 32;

class EmbeddedGoldenTest : public ::testing::TestWithParam<BackendKind> {};

TEST_P(EmbeddedGoldenTest, PromptAndGreedySteps) {
  const char* embedded_model = std::getenv("VARSERVE_EMBEDDED_MODEL");
  ASSERT_NE(embedded_model, nullptr) << "VARSERVE_EMBEDDED_MODEL is not set; ./dev test sets it";
  const std::string dir = embedded_model;
  auto loaded = LoadModel(
      {.model_dir = dir, .device = "cpu", .dtype = "float32", .var_profile = {}, .backend = GetParam()});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const chat::Preprocessor& preprocessor = *loaded->preprocessor;
  const auto picture = preprocessor.ProcessImage(
      ReadFile(RepositoryPath("models/embedded/samples/animals.jpg")), {}, NeverStop);
  ASSERT_TRUE(picture.ok()) << picture.status();
  auto prompt = preprocessor.prompt_builder().Build(
      {{text::Role::kUser, {ImagePart(), "Describe the image in detail."}}}, {*picture});
  ASSERT_TRUE(prompt.ok()) << prompt.status();

  const Golden golden("embedded");
  ASSERT_EQ(prompt->token_ids, golden.Ids("input_ids"));
  const at::Tensor top_ids = golden.Get("top_ids");            // [positions after the picture, top]
  const at::Tensor top_logprobs = golden.Get("top_logprobs");  // the same
  const int first = prompt->prefix_size();

  engine::GenerationRequest request;
  request.prompt = std::make_shared<const Prompt>(*std::move(prompt));
  request.sampling.logprobs = 2 * static_cast<int>(top_ids.size(1));  // some more: ranks may change places
  const auto runner = StepRunner::Create(std::move(loaded->model), 64);
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
