// What quantizing the embedded model's weights does to its sinks and to what it would say next.
#include "server/interventions/var/tokens.h"
#include "server/model/step_runner.h"
#include "tests/component/embedded.h"
#include "tests/testing/runner_driver.h"

namespace varserve::model {
namespace {

constexpr int kTokens = 24;

struct Decoded {
  std::vector<bool> sinks;      // [layers, tokens] of all steps, one step after the other
  std::vector<int32_t> tokens;  // most probable ones, after the prompt and after each of the given tokens
};

// `given`: the tokens that follow the prompt; the run's own if there are none.
Decoded Decode(int quantize_bits, const std::vector<int32_t>& given) {
  LoadedModel loaded = testing::LoadEmbeddedModel({.dtype = "bfloat16", .quantize_bits = quantize_bits});
  engine::GenerationRequest request;
  request.prompt = testing::AskAboutAnimals(*loaded.preprocessor);
  const float tau = loaded.model->var_profile()->tau;
  const auto runner = StepRunner::Create(std::move(loaded.model), 64);
  EXPECT_TRUE(runner.ok()) << runner.status();
  const int layers = (*runner)->facts().num_layers;
  testing::RunnerDriver driver(**runner, request);
  const auto finish = [&](engine::SequenceStep step) {
    if (!given.empty()) step.generated = given;
    const auto output = (*runner)->Execute({.steps = {step}}, [] {});
    EXPECT_TRUE(output.ok()) << output.status();
    driver.Apply(step, output->results.front());
  };
  finish(driver.Step(request.prompt->prefix_size(), /*sample=*/false));
  finish(driver.Step(request.prompt->size(), /*sample=*/true));
  while (driver.generated().size() < kTokens) finish(driver.Step(driver.position() + 1, /*sample=*/true));
  Decoded run;
  for (const engine::SequenceResult& result : driver.results()) {
    const auto values = result.measures.size() / interventions::kNumPhiPlanes;  // of plane 0
    EXPECT_EQ(values % layers, 0U);
    for (size_t i = 0; i < values; ++i) run.sinks.push_back(result.measures[i] >= tau);
  }
  for (const engine::Token& token : driver.sampled()) run.tokens.push_back(token.id);
  return run;
}

template <typename T>
double ShareEqual(const std::vector<T>& a, const std::vector<T>& b) {
  EXPECT_EQ(a.size(), b.size());
  size_t equal = 0;
  for (size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i] ? 1 : 0;
  return static_cast<double>(equal) / static_cast<double>(a.size());
}

TEST(EmbeddedQuantizedTest, KeepsItsSinks) {
  const Decoded original = Decode(0, {});
  const auto sinks = static_cast<double>(std::count(original.sinks.begin(), original.sinks.end(), true));
  ASSERT_GT(sinks, 0);
  for (const auto& [bits, least_tokens] : {std::pair(8, 0.95), {4, 0.75}}) {
    const Decoded quantized = Decode(bits, original.tokens);
    const double same_sinks = ShareEqual(quantized.sinks, original.sinks);
    const double same_tokens = ShareEqual(quantized.tokens, original.tokens);
    EXPECT_GE(same_sinks, 0.95) << bits << " bits";
    EXPECT_GE(same_tokens, least_tokens) << bits << " bits";
    std::cout << "int" << bits << ": " << 100 * same_sinks << " % of layers and tokens are sinks as before ("
              << 100 * sinks / static_cast<double>(original.sinks.size()) << " % are), " << 100 * same_tokens
              << " % of next tokens are the same\n";
  }
}

}  // namespace
}  // namespace varserve::model
