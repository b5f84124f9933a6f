// Contrast decoding through the engine: against an independent slow reference, with neutral parameters, and
// in a batch with other requests.
#include <algorithm>
#include <cmath>

#include "absl/synchronization/notification.h"
#include "server/base/clock.h"
#include "server/engine/engine.h"
#include "server/interventions/attention/row_intervention.h"
#include "server/interventions/var/var_intervention.h"
#include "server/interventions/vcd/diffusion_noise.h"
#include "server/model/step_runner.h"
#include "tests/component/golden.h"

namespace varserve::model {
namespace {

using backend::BackendKind;
using engine::GenerationRequest;
using engine::Token;
using interventions::ContrastRule;
using nlohmann::json;
using testing::Golden;
using testing::TinyModel;

constexpr double kTolerance = 2e-4;
constexpr int kVocabulary = 160;
constexpr int kTokens = 32;

struct IgnoreEvents : engine::EngineObserver {
  void OnLoad(const Load&) override {}
  void OnPrefixLookup(int64_t, int64_t) override {}
  void OnStep(const Step&) override {}
  void OnCorruptedResult() override {}
};

// Keeps the tokens with all that is said of them.
class TokenSink final : public engine::OutputSink {
 public:
  void OnStarted(const engine::StartedInfo& started) override { info = started; }
  engine::SinkVerdict OnToken(const Token& token) override {
    tokens.push_back(token);
    return engine::SinkVerdict::kContinue;
  }
  void OnFinished(engine::FinishReason, std::unique_ptr<const interventions::Report>) override {
    ended.Notify();
  }
  void OnFailed(const absl::Status& status) override {
    ADD_FAILURE() << status;
    ended.Notify();
  }

  engine::StartedInfo info;
  std::vector<Token> tokens;
  absl::Notification ended;
};

// An engine around a tiny model.
class Serving {
 public:
  explicit Serving(const TinyModel& tiny, BackendKind backend = BackendKind::kAuto)
      : runner_(*StepRunner::Create(tiny.Load(backend), 600)),
        engine_({.scheduler = {.max_running = 40}}, runner_.get(), &observer_, &clock_) {}

  std::shared_ptr<TokenSink> Submit(const GenerationRequest& request) {
    auto sink = std::make_shared<TokenSink>();
    const auto ids = engine_.Submit({{request, sink}});
    EXPECT_TRUE(ids.ok()) << ids.status();
    return sink;
  }
  std::vector<Token> Ask(const GenerationRequest& request) {
    const std::shared_ptr<TokenSink> sink = Submit(request);
    sink->ended.WaitForNotification();
    return sink->tokens;
  }

 private:
  IgnoreEvents observer_;
  const MonotonicClock clock_;
  const std::unique_ptr<StepRunner> runner_;
  engine::Engine engine_;
};

// Equal to the bit.
void ExpectEqual(const std::vector<Token>& a, const std::vector<Token>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].id, b[i].id) << what << " token " << i;
    EXPECT_EQ(a[i].logprob, b[i].logprob) << what << " token " << i;
    EXPECT_EQ(a[i].top, b[i].top) << what << " token " << i;
  }
}

std::shared_ptr<const Prompt> PromptOf(const TinyModel& tiny, const json& prompt) {
  return tiny.MakePrompt(prompt["input_ids"].get<std::vector<int32_t>>(),
                         prompt["spans"].get<std::vector<std::vector<int>>>());
}

std::shared_ptr<const engine::Contrast> Contrast(std::shared_ptr<const Prompt> prompt,
                                                 const ContrastRule& rule) {
  return std::make_shared<const engine::Contrast>(
      engine::Contrast{.prompt = std::move(prompt), .rule = rule});
}

std::shared_ptr<const engine::Contrast> ContrastOf(const TinyModel& tiny, const json& c) {
  const json& s = c["settings"];
  const auto method = c["method"].get<std::string>();
  std::shared_ptr<const Prompt> sibling = PromptOf(tiny, c["sibling"]);
  if (method == "vcd")
    sibling = interventions::WithNoise(*sibling, s["noise_step"].get<int>(), s["noise_seed"].get<uint64_t>());
  if (method == "paicontrast")
    return Contrast(sibling, {.weight = s["gamma"].get<float>() - 1.0F, .beta = 0.1F});
  if (method == "m3id") {
    return Contrast(sibling, {.forgetting_rate = s["forgetting_rate"].get<float>(),
                              .confidence = s["confidence"].get<float>(),
                              .beta = s["beta"].get<float>()});
  }
  return Contrast(sibling, {.weight = s["alpha"].get<float>(), .beta = s["beta"].get<float>()});
}

std::shared_ptr<const interventions::Intervention> Pai(float alpha, int first_layer, int last_layer) {
  interventions::RowSetting pai{.method = "pai", .rows = interventions::ChangedRows::kAnswer, .row = {}};
  pai.row.change = interventions::RowChange::kReweigh;
  pai.row.visual_boost = alpha;
  pai.row.first_layer = first_layer;
  pai.row.last_layer = last_layer;
  return MakeRowIntervention(pai);
}

class ContrastGoldenTest : public ::testing::TestWithParam<testing::ModelAndBackend> {};

TEST_P(ContrastGoldenTest, TokensAndCombinedLogits) {
  const std::string name = std::get<0>(GetParam());
  const TinyModel tiny(name);
  const Golden golden(name + ".contrasts");
  Serving serving(tiny, std::get<1>(GetParam()));
  for (const json& c : ReadJson(RepositoryPath("tests/golden/data/" + name + ".contrasts.json"))) {
    const auto case_name = c["name"].get<std::string>();
    SCOPED_TRACE(case_name);
    GenerationRequest request;
    request.prompt = PromptOf(tiny, c);
    request.contrast = ContrastOf(tiny, c);
    if (const json& pai = c["settings"].value("attention", json()); !pai.is_null()) {
      request.intervention =
          Pai(pai["alpha"].get<float>(), pai["first_layer"].get<int>(), pai["last_layer"].get<int>());
    }
    request.sampling = {.max_tokens = kTokens, .logprobs = kVocabulary, .ignore_eos = true};
    const std::vector<Token> tokens = serving.Ask(request);

    ASSERT_EQ(tokens.size(), static_cast<size_t>(kTokens));
    const std::vector<int32_t> ids = golden.Ids(case_name + "/tokens");
    const at::Tensor steps = golden.Get(case_name + "/step_logits").log_softmax(-1);
    for (int i = 0; i < kTokens; ++i) {
      EXPECT_EQ(tokens[i].id, ids[i]) << i;
      int plausible = 0;
      for (int64_t id = 0; id < kVocabulary; ++id) plausible += std::isfinite(steps[i][id].item<double>());
      EXPECT_EQ(tokens[i].contrast.plausible_tokens, plausible) << i;
      ASSERT_EQ(static_cast<int>(tokens[i].top.size()), plausible) << i;
      for (const auto& [id, value] : tokens[i].top)
        EXPECT_NEAR(value, steps[i][id].item<double>(), kTolerance) << i << " " << id;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ContrastGoldenTest,
                         ::testing::Combine(::testing::Values("clip_gqa", "qwen2_vl"),
                                            ::testing::Values(BackendKind::kCpu, BackendKind::kTorch)),
                         testing::ModelAndBackendName);

// A question about the model's first picture, and what siblings are asked.
struct Question {
  explicit Question(const TinyModel& tiny, int text = 9) {
    const auto layout = tiny.Layout(0);
    const int end = 4 + layout->size();
    std::vector<int32_t> ids(4, 7);
    ids.insert(ids.end(), end - 4, 159);
    std::vector<int32_t> disturbed;
    std::vector<int32_t> blind(4, 7);
    for (int i = 0; i < text; ++i) ids.push_back(20 + 13 * i % 101);
    disturbed = ids;
    disturbed.insert(disturbed.begin() + end, {61, 62, 63});
    blind.insert(blind.end(), ids.begin() + end, ids.end());
    const std::vector<std::vector<int>> spans = {{4, end, layout->rows, layout->cols}};
    prompt = tiny.MakePrompt(ids, spans);
    noisy = interventions::WithNoise(*prompt, 500, 0);
    instructed = tiny.MakePrompt(disturbed, spans);
    without_picture = tiny.MakePrompt(blind, {});
  }

  std::shared_ptr<const Prompt> prompt;
  std::shared_ptr<const Prompt> noisy;
  std::shared_ptr<const Prompt> instructed;
  std::shared_ptr<const Prompt> without_picture;
};

class ContrastTest : public ::testing::TestWithParam<const char*> {
 protected:
  const TinyModel tiny_{GetParam()};
};

TEST_P(ContrastTest, NeutralParametersEqualOffBitForBit) {
  const Question question(tiny_);
  Serving serving(tiny_);
  for (const float temperature : {0.0F, 0.8F}) {
    GenerationRequest request;
    request.prompt = question.prompt;
    request.sampling = {
        .max_tokens = 24, .temperature = temperature, .seed = 5, .logprobs = kVocabulary, .ignore_eos = true};
    const std::vector<Token> off = serving.Ask(request);
    request.contrast = Contrast(question.noisy, {});  // VCD's and ICD's alpha and beta 0
    ExpectEqual(serving.Ask(request), off, "alpha 0");
    request.contrast = Contrast(question.without_picture, {.forgetting_rate = 0.0F, .confidence = 0.9F});
    ExpectEqual(serving.Ask(request), off, "lambda 0");
    request.contrast = Contrast(question.without_picture, {.forgetting_rate = 0.5F, .confidence = 0.0F});
    ExpectEqual(serving.Ask(request), off, "confidence 0");
    request.contrast = Contrast(question.noisy, {.weight = 1.0F});
    EXPECT_NE(serving.Ask(request).front().top, off.front().top);
  }
}

TEST_P(ContrastTest, TheSiblingSharesThePicture) {
  const Question question(tiny_);
  Serving serving(tiny_);
  GenerationRequest request;
  request.prompt = question.prompt;
  request.sampling.max_tokens = 4;
  request.contrast = Contrast(question.instructed, {.weight = 1.0F});
  const std::shared_ptr<TokenSink> sink = serving.Submit(request);
  sink->ended.WaitForNotification();
  EXPECT_EQ(sink->info.cached_tokens, 0);
  EXPECT_EQ(sink->info.sibling_cached_tokens, question.prompt->prefix_size());
}

// OFF, VAR, PAI, VCD, ICD, M3ID, PAI with its contrast, and VAR with VCD, twice each.
std::vector<GenerationRequest> EightMethodsTwice(const TinyModel& tiny) {
  std::vector<GenerationRequest> requests;
  const auto var = interventions::MakeVarIntervention({.mode = interventions::Mode::kOn,
                                                       .tau = 3.0F,
                                                       .rho = 0.3F,
                                                       .min_visual_attention = 0.05F,
                                                       .last_layer = 2});
  for (int i = 0; i < 16; ++i) {
    const Question question(tiny, 5 + 7 * i);
    const int method = i % 8;
    GenerationRequest request;
    request.prompt = question.prompt;
    request.sampling = {.max_tokens = 20,
                        .temperature = i < 8 ? 0.0F : 0.9F,
                        .top_p = i % 3 == 0 ? 0.8F : 1.0F,
                        .repetition_penalty = i % 5 == 0 ? 1.2F : 1.0F,
                        .seed = static_cast<uint64_t>(i),
                        .logprobs = kVocabulary,
                        .ignore_eos = true};
    if (method == 1 || method == 7) request.intervention = var;
    if (method == 2 || method == 6) request.intervention = Pai(0.5F, 0, 2);
    if (method == 3 || method == 7)
      request.contrast = Contrast(question.noisy, {.weight = 1.0F, .beta = 0.1F});
    if (method == 4) request.contrast = Contrast(question.instructed, {.weight = 1.0F, .beta = 0.1F});
    if (method == 5)
      request.contrast = Contrast(question.without_picture, {.forgetting_rate = 0.05F, .confidence = 0.9F});
    if (method == 6) request.contrast = Contrast(question.without_picture, {.weight = 0.1F, .beta = 0.1F});
    requests.push_back(std::move(request));
  }
  return requests;
}

TEST_P(ContrastTest, SixteenRequestsTogetherEqualEachAlone) {
  const std::vector<GenerationRequest> requests = EightMethodsTwice(tiny_);
  Serving together(tiny_);
  std::vector<std::shared_ptr<TokenSink>> sinks;
  for (const GenerationRequest& request : requests) sinks.push_back(together.Submit(request));
  int changed = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    sinks[i]->ended.WaitForNotification();
    Serving alone(tiny_);
    ExpectEqual(sinks[i]->tokens, alone.Ask(requests[i]), absl::StrCat("request ", i));
    for (const Token& token : sinks[i]->tokens) changed += token.contrast.changed;
  }
  EXPECT_GT(changed, 0);
}

INSTANTIATE_TEST_SUITE_P(Models, ContrastTest, ::testing::Values("clip_gqa", "qwen2_vl"));

}  // namespace
}  // namespace varserve::model
