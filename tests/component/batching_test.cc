// What a request gets does not depend on what runs with it, nor on how its prefill is cut.
#include <random>

#include "server/base/clock.h"
#include "server/engine/engine.h"
#include "server/interventions/attention/row_intervention.h"
#include "server/interventions/var/var_intervention.h"
#include "server/model/step_runner.h"
#include "tests/component/golden.h"
#include "tests/testing/recording_sink.h"
#include "tests/testing/runner_driver.h"

namespace varserve::model {
namespace {

using backend::BackendKind;
using engine::GenerationRequest;
using interventions::MakeVarIntervention;
using interventions::Mode;
using interventions::VarSettings;
using interventions::VarVariant;
using testing::RunnerDriver;
using testing::TinyModel;

struct IgnoreEvents : engine::EngineObserver {
  void OnLoad(const Load&) override {}
  void OnPrefixLookup(int64_t, int64_t) override {}
  void OnStep(const Step&) override {}
  void OnCorruptedResult() override {}
};

VarSettings MixedSettings(int i) {
  return {.mode = static_cast<Mode>(i % 3),
          .variant = i % 2 == 0 ? VarVariant::kPaper : VarVariant::kAuthorsCode,
          .tau = 3.0F,
          .rho = 0.3F,
          .p = 0.6F,
          .min_visual_attention = 0.05F,
          .first_layer = 0,
          .last_layer = 2};
}

// VAR in its modes and variants, PAI, VAF and SPIN: eight settings.
std::shared_ptr<const interventions::Intervention> MixedIntervention(int i) {
  interventions::RowSetting other;
  other.row.first_layer = i % 2;
  other.row.last_layer = 2;
  switch (i % 8) {
    case 5:
      other.method = "pai";
      other.rows = interventions::ChangedRows::kAnswer;
      other.row.change = interventions::RowChange::kReweigh;
      other.row.visual_boost = 0.5F;
      break;
    case 6:
      other.method = "vaf";
      other.row.change = interventions::RowChange::kReweigh;
      other.row.visual_scale = 1.5F;
      other.row.text_scale = 0.5F;
      break;
    case 7:
      other.method = "spin";
      other.rows = interventions::ChangedRows::kAnswer;
      other.row.change = interventions::RowChange::kSuppressHeads;
      other.row.kept_heads = 4;
      other.row.suppressed_gain = 0.1F;
      break;
    default:
      return MakeVarIntervention(MixedSettings(i));
  }
  return MakeRowIntervention(other);
}

// Requests of all kinds: lengths, pictures, VAR settings, samplers.
std::vector<GenerationRequest> MixedRequests(const TinyModel& tiny, int count) {
  std::mt19937 random(11);
  const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  std::vector<GenerationRequest> requests;
  for (int i = 0; i < count; ++i) {
    std::vector<int32_t> ids;
    std::vector<std::vector<int>> spans;
    const auto text = [&](int n) {
      for (int t = 0; t < n; ++t) ids.push_back(pick(1, 158));
    };
    text(pick(0, 6));
    for (int images = pick(0, 2); images > 0; --images) {
      const auto layout = tiny.Layout(static_cast<int>(spans.size()));
      const auto begin = static_cast<int>(ids.size());
      spans.push_back({begin, begin + layout->size(), layout->rows, layout->cols});
      ids.insert(ids.end(), layout->token_ids.begin(), layout->token_ids.end());
      text(pick(0, 4));
    }
    text(pick(1, 40));
    GenerationRequest request;
    request.prompt = tiny.MakePrompt(ids, spans);
    request.sampling = {.max_tokens = pick(1, 24),
                        .temperature = i % 3 == 0 ? 0.0F : 0.8F,
                        .top_p = i % 4 == 0 ? 0.9F : 1.0F,
                        .top_k = i % 5 == 0 ? 20 : 0,
                        .repetition_penalty = i % 7 == 0 ? 1.3F : 1.0F,
                        .seed = static_cast<uint64_t>(i),
                        .ignore_eos = true};
    request.intervention = MixedIntervention(i);
    requests.push_back(std::move(request));
  }
  return requests;
}

struct ModelAndDtype {
  const char* model;
  const char* dtype;
};

class BatchingTest : public ::testing::TestWithParam<ModelAndDtype> {
 protected:
  const TinyModel tiny_{GetParam().model};
  std::unique_ptr<StepRunner> Runner(BackendKind backend = BackendKind::kAuto) const {
    return *StepRunner::Create(tiny_.Load(backend, GetParam().dtype), 600);
  }
};

// Through the engine with its prefix cache, mixed steps and chunks. 32 bit and 16 bit storage alike, to the
// last bit: the tokens of sampled requests would differ otherwise.
TEST_P(BatchingTest, ThirtyTwoRequestsTogetherEqualOneByOne) {
  const std::vector<GenerationRequest> requests = MixedRequests(tiny_, 32);
  const auto runner = Runner();
  IgnoreEvents observer;
  const MonotonicClock clock;
  const auto run = [&](bool together) {
    engine::Engine engine({.scheduler = {.max_running = 12}}, runner.get(), &observer, &clock);
    std::vector<std::shared_ptr<testing::RecordingSink>> sinks;
    for (const GenerationRequest& request : requests) {
      sinks.push_back(std::make_shared<testing::RecordingSink>());
      EXPECT_TRUE(engine.Submit({{request, sinks.back()}}).ok());
      if (!together) sinks.back()->WaitUntilEnded();
    }
    std::vector<testing::RecordingSink::Record> records;
    for (const auto& sink : sinks) records.push_back(sink->WaitUntilEnded());
    return records;
  };
  const auto alone = run(false);
  const auto together = run(true);
  for (size_t i = 0; i < requests.size(); ++i) {
    ASSERT_FALSE(together[i].failed.has_value()) << *together[i].failed;
    EXPECT_EQ(together[i].tokens, alone[i].tokens) << i;
    ASSERT_EQ(together[i].report == nullptr, alone[i].report == nullptr);
    if (together[i].report == nullptr) continue;
    EXPECT_EQ(together[i].report->totals.redistributed, alone[i].report->totals.redistributed) << i;
    EXPECT_EQ(together[i].report->visual_sink_tokens, alone[i].report->visual_sink_tokens) << i;
  }
}

std::vector<engine::Token> LastTokens(const std::vector<std::unique_ptr<RunnerDriver>>& drivers) {
  std::vector<engine::Token> tokens;
  for (const auto& driver : drivers) tokens.push_back(driver->sampled().back());
  return tokens;
}

// Runs all requests side by side, four tokens each, and returns each one's last token with all its
// log-probabilities.
std::vector<engine::Token> SideBySide(StepRunner& runner, const std::vector<GenerationRequest>& requests) {
  std::vector<std::unique_ptr<RunnerDriver>> drivers;
  for (size_t i = 0; i < requests.size(); ++i) {
    GenerationRequest request = requests[i];
    request.sampling = {.logprobs = 160};
    drivers.push_back(std::make_unique<RunnerDriver>(runner, request, i + 1, static_cast<int>(i) * 16));
    const Prompt& prompt = *request.prompt;
    if (prompt.prefix_size() < prompt.size()) drivers.back()->Run(prompt.prefix_size(), false);
  }
  for (int step = 0; step < 4; ++step) {
    engine::StepPlan plan;
    for (const auto& driver : drivers) {
      const int end = step == 0 ? driver->request().prompt->size() : driver->position() + 1;
      plan.steps.push_back(driver->Step(end, /*sample=*/true));
    }
    const auto output = runner.Execute(plan, [] {});
    EXPECT_TRUE(output.ok()) << output.status();
    for (size_t i = 0; i < drivers.size(); ++i) drivers[i]->Apply(plan.steps[i], output->results[i]);
  }
  return LastTokens(drivers);
}

TEST_P(BatchingTest, AnInterventionOfOneRequestChangesNoBitOfAnother) {
  const auto runner = Runner();
  const std::vector<GenerationRequest> requests = MixedRequests(tiny_, 16);
  const auto mixed = SideBySide(*runner, requests);
  bool changed = false;
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto alone = SideBySide(*runner, {requests[i]});
    EXPECT_EQ(mixed[i].top, alone[0].top) << i;
    GenerationRequest off = requests[i];
    off.intervention = nullptr;
    changed |= i % 8 >= 5 && SideBySide(*runner, {off})[0].top != alone[0].top;
  }
  EXPECT_TRUE(changed);  // by PAI, VAF or SPIN
}

TEST_P(BatchingTest, VarOfOneRequestChangesNoBitOfAnother) {
  for (const BackendKind backend : {BackendKind::kAuto, BackendKind::kTorch}) {
    const auto runner = Runner(GetParam().dtype == std::string("float32") ? backend : BackendKind::kAuto);
    std::vector<GenerationRequest> requests = MixedRequests(tiny_, 12);
    std::vector<GenerationRequest> half_off = requests;
    std::vector<GenerationRequest> all_off = requests;
    for (size_t i = 0; i < requests.size(); ++i) {
      VarSettings var = MixedSettings(static_cast<int>(i));
      var.mode = i % 2 == 0 ? Mode::kOff : Mode::kOn;
      var.p = 1.0F;
      half_off[i].intervention = MakeVarIntervention(var);
      all_off[i].intervention = nullptr;
    }
    const auto mixed = SideBySide(*runner, half_off);
    const auto off = SideBySide(*runner, all_off);
    bool changed = false;
    for (size_t i = 0; i < requests.size(); ++i) {
      if (i % 2 == 0) {
        EXPECT_EQ(mixed[i].top, off[i].top) << i;
      }
      changed |= mixed[i].top != off[i].top;
    }
    EXPECT_TRUE(changed);  // the others were changed indeed
  }
}

TEST_P(BatchingTest, ObserveAndZeroPEqualOffBitForBit) {
  const auto runner = Runner();
  std::vector<GenerationRequest> off = MixedRequests(tiny_, 12);
  std::vector<GenerationRequest> observe = off;
  std::vector<GenerationRequest> zero = off;
  for (size_t i = 0; i < off.size(); ++i) {
    VarSettings var = MixedSettings(static_cast<int>(i));
    off[i].intervention = nullptr;
    var.mode = Mode::kObserve;
    observe[i].intervention = MakeVarIntervention(var);
    var.mode = Mode::kOn;
    var.p = 0.0F;
    zero[i].intervention = MakeVarIntervention(var);
  }
  const auto expected = SideBySide(*runner, off);
  const auto observed = SideBySide(*runner, observe);
  const auto zeroed = SideBySide(*runner, zero);
  for (size_t i = 0; i < off.size(); ++i) {
    EXPECT_EQ(observed[i].top, expected[i].top) << i;
    EXPECT_EQ(zeroed[i].top, expected[i].top) << i;
  }
}

TEST_P(BatchingTest, TokensAfterThePictureMayBeCutAnyway) {
  const auto runner = Runner();
  for (const GenerationRequest& mixed : MixedRequests(tiny_, 12)) {
    GenerationRequest request = mixed;
    request.sampling = {.logprobs = 160};
    const int prefix = request.prompt->prefix_size();
    const int size = request.prompt->size();
    if (prefix == size) continue;
    std::vector<std::pair<int32_t, float>> expected;
    for (const int chunk : {1, 3, 64}) {
      RunnerDriver driver(*runner, request);
      driver.Run(prefix, false);
      while (driver.position() < size) {
        const int end = std::min(size, driver.position() + chunk);
        driver.Run(end, end == size);
      }
      if (expected.empty()) expected = driver.sampled().back().top;
      EXPECT_EQ(driver.sampled().back().top, expected) << "chunks of " << chunk;
    }
  }
}

// Images of Qwen2.5-VL differ in size, and have positions by row and column. Those of Qwen3-VL are added to
// the first layers, too. Those of InternVL have tiles, LLaVA-NeXT and LLaVA-OneVision join them, and Idefics3
// has text between them. VILA's visual tokens go column by column.
INSTANTIATE_TEST_SUITE_P(
    Dtypes, BatchingTest,
    ::testing::Values(ModelAndDtype{"clip_gqa", "float32"}, ModelAndDtype{"clip_gqa", "bfloat16"},
                      ModelAndDtype{"clip_gqa", "float16"}, ModelAndDtype{"qwen2_5_vl", "float32"},
                      ModelAndDtype{"qwen3_vl", "float32"}, ModelAndDtype{"internvl", "float32"},
                      ModelAndDtype{"llava_next", "float32"}, ModelAndDtype{"llava_onevision", "float32"},
                      ModelAndDtype{"idefics3", "float32"}, ModelAndDtype{"vila1_5", "float32"}),
    [](const auto& info) { return absl::StrCat(info.param.model, "_", info.param.dtype); });

}  // namespace
}  // namespace varserve::model
