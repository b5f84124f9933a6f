// The model against transformers' values: picture features, logits at every position of the prompt, 32 greedy
// steps.
#include "server/model/step_runner.h"
#include "tests/component/golden.h"
#include "tests/testing/runner_driver.h"

namespace varserve::model {
namespace {

using testing::Golden;
using testing::RunnerDriver;
using testing::TinyModel;

constexpr double kTolerance = 2e-4;
constexpr int kVocabulary = 160;

class ModelGoldenTest : public ::testing::TestWithParam<testing::ModelAndBackend> {
 protected:
  const std::string name_ = std::get<0>(GetParam());
  const TinyModel tiny_{name_};
  const Golden golden_{name_};

  std::unique_ptr<StepRunner> Runner() const {
    return *StepRunner::Create(tiny_.Load(std::get<1>(GetParam())), 64);
  }
  engine::GenerationRequest Request() const {
    std::vector<std::vector<int>> spans;
    const at::Tensor stored = golden_.Get("spans");
    for (int64_t i = 0; i < stored.size(0); ++i) {
      spans.emplace_back();
      for (int64_t j = 0; j < 4; ++j) spans.back().push_back(static_cast<int>(stored[i][j].item<int64_t>()));
    }
    engine::GenerationRequest request;
    request.prompt = tiny_.MakePrompt(golden_.Ids("input_ids"), spans);
    request.sampling.logprobs = kVocabulary;
    return request;
  }
};

TEST_P(ModelGoldenTest, PictureFeatures) {
  const auto model = tiny_.Load(std::get<1>(GetParam()));
  const at::Tensor stored = golden_.Get("image_features");
  const auto layers = static_cast<int64_t>(model->config().vision.deepstack_layers.size());
  // One image after the other.
  const at::Tensor expected = stored.reshape({1 + layers, -1, stored.size(-1)});
  int64_t first = 0;
  for (int i = 0; first < expected.size(1); ++i) {
    EncodedImage image = model->EncodeImage(*tiny_.Picture(i));
    image.deepstack.insert(image.deepstack.begin(), image.embeddings);
    const at::Tensor features = at::stack(image.deepstack).cpu();  // [1 + layers, P, C]
    ASSERT_LE(first + features.size(1), expected.size(1));
    EXPECT_LT(testing::LargestDifference(features, expected.narrow(1, first, features.size(1))), kTolerance);
    first += features.size(1);
  }
}

TEST_P(ModelGoldenTest, LogitsAtEveryPositionOfThePrompt) {
  const auto runner = Runner();
  RunnerDriver driver(*runner, Request());
  const at::Tensor expected = golden_.Get("prompt_logits").log_softmax(-1);
  for (int t = 0; t < driver.request().prompt->size(); ++t) {
    driver.Run(t + 1, /*sample=*/true);
    ASSERT_LT(testing::LargestDifference(testing::AllLogprobs(driver.sampled().back()), expected[t]),
              kTolerance)
        << t;
  }
}

TEST_P(ModelGoldenTest, GreedySteps) {
  const auto runner = Runner();
  RunnerDriver driver(*runner, Request());
  const int prefix = driver.request().prompt->prefix_size();
  const int size = driver.request().prompt->size();
  for (int chunk = 7; chunk < prefix; chunk += 7) driver.Run(chunk, false);
  driver.Run(prefix, prefix == size);
  if (prefix < size) driver.Run(size, true);
  while (driver.generated().size() < 32 && !HasFatalFailure()) driver.Run(driver.position() + 1, true);
  EXPECT_EQ(driver.generated(), golden_.Ids("tokens"));
  const at::Tensor expected = golden_.Get("step_logits").log_softmax(-1);
  for (size_t i = 0; i < 32; ++i) {
    EXPECT_LT(testing::LargestDifference(testing::AllLogprobs(driver.sampled()[i]),
                                         expected[static_cast<int64_t>(i)]),
              kTolerance)
        << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ModelGoldenTest, testing::EveryModelAndBackend(),
                         testing::ModelAndBackendName);

}  // namespace
}  // namespace varserve::model
