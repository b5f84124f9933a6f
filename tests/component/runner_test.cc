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
  const auto without = runner->Execute({{step}}, [] {});
  step.map = true;
  const auto with = runner->Execute({{step}}, [] {});
  ASSERT_TRUE(without.ok() && with.ok());
  EXPECT_FALSE(without->results[0].map.has_value());
  EXPECT_TRUE(with->results[0].map.has_value());
  EXPECT_EQ(without->results[0].token->id, with->results[0].token->id);
}

// Where the host has only the leading tokens of a device, it asks for all logits if the distribution is flat.
TEST(RunnerTest, SamplesTheSameFromLeadingTokensAsFromAll) {
  const testing::TinyModel tiny("clip_mha", [](nlohmann::json& spec) {
    spec["config"]["text_config"]["num_hidden_layers"] = 1;
    spec["config"]["text_config"]["vocab_size"] = 3000;
    for (nlohmann::json& tensor : spec["tensors"]) {
      if (tensor["shape"][0] == 160) tensor["shape"][0] = 3000;
    }
  });
  const auto all = *StepRunner::Create(tiny.Load(backend::BackendKind::kAuto), 64);
  const auto leading = *StepRunner::Create(tiny.Load(backend::BackendKind::kTorch), 64);
  std::set<int32_t> ids;
  for (const float temperature : {0.0F, 0.02F, 5.0F}) {
    engine::GenerationRequest request;
    request.prompt = tiny.MakePrompt({5, 6, 7, 8, 9, 10}, {});
    request.sampling = {.temperature = temperature, .seed = 7, .logprobs = 3};
    testing::RunnerDriver expected(*all, request);
    testing::RunnerDriver actual(*leading, request);
    for (int end = 6; end < 26; ++end) {
      expected.Run(end, true);
      actual.Run(end, true);
    }
    EXPECT_EQ(actual.generated(), expected.generated()) << temperature;
    for (size_t i = 0; i < expected.results().size(); ++i) {
      const engine::Token& token = *expected.results()[i].token;
      EXPECT_NEAR(actual.results()[i].token->logprob, token.logprob, 1e-4);
      EXPECT_EQ(actual.results()[i].token->top.size(), 3);
      ids.insert(token.id);
    }
  }
  EXPECT_GT(ids.size(), 20);
}

class ImagesAheadTest : public ::testing::Test {
 protected:
  static constexpr engine::SequenceId kPicture = 2;

  ImagesAheadTest() {
    picture_.prompt = Picture();
    text_.prompt = tiny_.MakePrompt({5, 6, 7, 8, 9, 10}, {});
  }
  std::shared_ptr<const Prompt> Picture() const {
    std::vector<int32_t> ids(16, 159);
    for (int i = 0; i < 20; ++i) ids.push_back(2 + i);
    return tiny_.MakePrompt(ids, {{0, 16, 4, 4}});
  }
  // One that cannot be encoded.
  std::shared_ptr<const ProcessedImage> BrokenImage() const {
    auto broken = std::make_shared<ProcessedImage>(*picture_.prompt->images.front());
    broken->height /= 2;
    return broken;
  }
  // Encodes the image in parallel with a step of the text.
  void EncodeAhead(std::shared_ptr<const ProcessedImage> image) {
    testing::RunnerDriver text(*runner_, text_, /*id=*/1, /*first_block=*/40);
    const auto output =
        runner_->Execute({.steps = {text.Step(6, true)}, .encode_ahead = {{{kPicture, 0}, image}}}, [] {});
    ASSERT_TRUE(output.ok()) << output.status();
  }
  void AwaitEncoded() {
    std::vector<engine::ImageRef> encoded;
    while (encoded.empty()) encoded = runner_->TakeEncoded();
    EXPECT_EQ(encoded, (std::vector<engine::ImageRef>{{kPicture, 0}}));
    EXPECT_TRUE(runner_->TakeEncoded().empty());
  }
  std::vector<float> MeasuresOfThePicture() {
    testing::RunnerDriver picture(*runner_, picture_, kPicture);
    picture.Run(16, false);
    picture.Run(36, true);
    runner_->Release(kPicture);
    return picture.results().front().measures;
  }

  const testing::TinyModel tiny_{"clip_mha"};
  const std::unique_ptr<StepRunner> runner_ = *StepRunner::Create(tiny_.Load(), 64);
  engine::GenerationRequest picture_;
  engine::GenerationRequest text_;
};

TEST_F(ImagesAheadTest, AreTheSame) {
  const std::vector<float> expected = MeasuresOfThePicture();
  for (const bool awaited : {true, false}) {
    EncodeAhead(picture_.prompt->images.front());
    if (awaited) AwaitEncoded();
    EXPECT_EQ(MeasuresOfThePicture(), expected) << awaited;
  }
  EXPECT_TRUE(runner_->TakeEncoded().empty());
}

TEST_F(ImagesAheadTest, FailTheStepThatNeedsThemAndNoOther) {
  EncodeAhead(BrokenImage());
  AwaitEncoded();
  testing::RunnerDriver picture(*runner_, picture_, kPicture);
  EXPECT_FALSE(runner_->Execute({.steps = {picture.Step(16, false)}}, [] {}).ok());
  EXPECT_TRUE(runner_->Execute({.steps = {picture.Step(16, false)}}, [] {}).ok()) << "encoded anew";
}

TEST_F(ImagesAheadTest, AreAwaitedAfterRepliesAreMade) {
  auto prompt = std::make_shared<Prompt>(*picture_.prompt);
  prompt->images.front() = BrokenImage();
  picture_.prompt = prompt;
  testing::RunnerDriver picture(*runner_, picture_, kPicture);
  int meanwhile = 0;
  const engine::StepPlan plan{.steps = {picture.Step(16, false)}};
  EXPECT_FALSE(runner_->Execute(plan, [&meanwhile] { ++meanwhile; }).ok()) << "the image cannot be encoded";
  EXPECT_EQ(meanwhile, 1);
}

TEST_F(ImagesAheadTest, OfAnEndedSequenceAreForgotten) {
  EncodeAhead(picture_.prompt->images.front());
  runner_->Release(kPicture);
  MeasuresOfThePicture();
  EXPECT_TRUE(runner_->TakeEncoded().empty());
}

}  // namespace
}  // namespace varserve::model
