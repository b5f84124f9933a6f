// VAR against an independent slow reference: logits, sinks, head decisions, and the report the engine makes.
#include "server/base/clock.h"
#include "server/engine/engine.h"
#include "server/interventions/var/tokens.h"
#include "server/interventions/var/var_intervention.h"
#include "server/model/step_runner.h"
#include "tests/component/golden.h"
#include "tests/testing/recording_sink.h"
#include "tests/testing/runner_driver.h"

namespace varserve::model {
namespace {

using nlohmann::json;
using testing::Golden;
using testing::RunnerDriver;
using testing::TinyModel;

constexpr double kTolerance = 2e-4;
constexpr double kReportTolerance = 1e-4;
constexpr int kVocabulary = 160;

struct IgnoreEvents : engine::EngineObserver {
  void OnLoad(const Load&) override {}
  void OnPrefixLookup(int64_t, int64_t) override {}
  void OnStep(const Step&) override {}
  void OnCorruptedResult() override {}
};

interventions::VarSettings Settings(const json& s) {
  return {.mode = s["mode"] == "OFF"       ? interventions::Mode::kOff
                  : s["mode"] == "OBSERVE" ? interventions::Mode::kObserve
                                           : interventions::Mode::kOn,
          .variant = s["variant"] == "PAPER" ? interventions::VarVariant::kPaper
                                             : interventions::VarVariant::kAuthorsCode,
          .tau = s["tau"].get<float>(),
          .rho = s["rho"].get<float>(),
          .p = s["p"].get<float>(),
          .min_visual_attention = s["min_visual_attention"].get<float>(),
          .first_layer = s["first_layer"].get<int>(),
          .last_layer = s["last_layer"].get<int>()};
}

void ExpectShares(const interventions::AttentionShares& shares, const at::Tensor& expected,
                  const std::string& where) {
  EXPECT_NEAR(shares.changed_heads, expected[0].item<double>(), 1e-6) << where;
  EXPECT_NEAR(shares.redistributed, expected[1].item<double>(), kReportTolerance) << where;
  EXPECT_NEAR(shares.visual_before, expected[2].item<double>(), kReportTolerance) << where;
  EXPECT_NEAR(shares.visual_after, expected[3].item<double>(), kReportTolerance) << where;
}

class VarGoldenTest : public ::testing::TestWithParam<testing::ModelAndBackend> {
 protected:
  void SetUp() override {
    if (const std::string why = testing::WhyNot(GetParam()); !why.empty()) GTEST_SKIP() << why;
  }

  const std::string name_ = std::get<0>(GetParam());
  const TinyModel tiny_{name_};
  const Golden golden_{name_ + ".var"};
  const json cases_ =
      testing::CasesFor(GetParam(), ReadJson(RepositoryPath("tests/golden/data/" + name_ + ".var.json")));

  std::unique_ptr<StepRunner> Runner() const {
    return *StepRunner::Create(tiny_.Load(std::get<1>(GetParam())), 64);
  }
  engine::GenerationRequest Request(const json& c) const {
    engine::GenerationRequest request;
    request.prompt = tiny_.MakePrompt(c["input_ids"].get<std::vector<int32_t>>(),
                                      c["spans"].get<std::vector<std::vector<int>>>());
    request.intervention = interventions::MakeVarIntervention(Settings(c["settings"]));
    request.sampling.max_tokens = 16;
    request.sampling.ignore_eos = true;
    return request;
  }
};

TEST_P(VarGoldenTest, LogitsSinksAndHeads) {
  const auto runner = Runner();
  const int num_layers = runner->facts().num_layers;
  for (const json& c : cases_) {
    const auto name = c["name"].get<std::string>();
    SCOPED_TRACE(name);
    engine::GenerationRequest request = Request(c);
    request.sampling.logprobs = kVocabulary;
    RunnerDriver driver(*runner, request);
    const int prefix = request.prompt->prefix_size();
    const int size = request.prompt->size();
    driver.Run(prefix, prefix == size);
    for (int t = prefix; t < size; ++t) driver.Run(t + 1, true);
    const at::Tensor suffix = golden_.Get(name + "/suffix_logits").log_softmax(-1);
    for (int t = prefix; t < size; ++t) {
      EXPECT_LT(
          testing::LargestDifference(testing::AllLogprobs(driver.sampled()[t - prefix]), suffix[t - prefix]),
          kTolerance)
          << t;
    }
    while (driver.generated().size() < 16 && !HasFatalFailure()) driver.Run(driver.position() + 1, true);
    EXPECT_EQ(driver.generated(), golden_.Ids(name + "/tokens"));
    const at::Tensor steps = golden_.Get(name + "/step_logits").log_softmax(-1);
    const size_t first_step = driver.sampled().size() - 16;
    for (size_t i = 0; i < 16; ++i) {
      EXPECT_LT(testing::LargestDifference(testing::AllLogprobs(driver.sampled()[first_step + i]),
                                           steps[static_cast<int64_t>(i)]),
                kTolerance)
          << i;
    }

    // phi: the same tokens are sinks; shares: the same heads are image-centric.
    const at::Tensor phi = golden_.Get(name + "/phi");  // [L, N]
    const at::Tensor shares = golden_.Get(name + "/shares");
    const auto plane = static_cast<int64_t>(Settings(c["settings"]).variant);
    int64_t token = 0;
    int64_t row = 0;
    for (const engine::SequenceResult& result : driver.results()) {
      const int64_t count =
          static_cast<int64_t>(result.measures.size()) / interventions::kNumPhiPlanes / num_layers;
      for (int64_t l = 0; l < num_layers; ++l) {
        for (int64_t t = 0; t < count; ++t) {
          const double expected = phi[l][token + t].item<double>();
          EXPECT_NEAR(result.measures[(plane * num_layers + l) * count + t], expected,
                      1e-4 * std::max(1.0, expected));
        }
      }
      token += count;
      for (size_t i = 0; i < result.rows.size(); i += num_layers, ++row) {
        for (int64_t l = 0; l < num_layers; ++l) {
          ExpectShares(result.rows[i + l], shares[row][l],
                       "row " + std::to_string(row) + " layer " + std::to_string(l));
        }
      }
    }
    EXPECT_EQ(token, phi.size(1));
    EXPECT_EQ(row, shares.size(0));
  }
}

class VarReportGoldenTest : public VarGoldenTest {};

// The report as the engine adds it up; a second time out of the prefix cache.
TEST_P(VarReportGoldenTest, Report) {
  const auto runner = Runner();
  IgnoreEvents observer;
  const MonotonicClock clock;
  engine::Engine engine({}, runner.get(), &observer, &clock);
  for (const json& c : cases_) {
    const auto name = c["name"].get<std::string>();
    for (int time = 0; time < 2; ++time) {
      SCOPED_TRACE(name + (time == 0 ? "" : ", cached"));
      engine::GenerationRequest request = Request(c);
      const interventions::VarSettings var = Settings(c["settings"]);
      for (int l = var.first_layer; l <= var.last_layer; ++l) request.map_layers.push_back(l);
      auto sink = std::make_shared<testing::RecordingSink>();
      ASSERT_TRUE(engine.Submit({{request, sink}}).ok());
      const testing::RecordingSink::Record record = sink->WaitUntilEnded();
      ASSERT_FALSE(record.failed.has_value()) << *record.failed;
      EXPECT_EQ(record.tokens, golden_.Ids(name + "/tokens"));
      ASSERT_NE(record.report, nullptr);
      const interventions::VarReport& report = *record.report;

      const at::Tensor totals = golden_.Get(name + "/totals");
      EXPECT_NEAR(report.visual_sink_tokens, totals[0].item<double>(), 1e-5);
      EXPECT_NEAR(report.text_sink_tokens, totals[1].item<double>(), 1e-5);
      EXPECT_EQ(static_cast<double>(report.visual_sinks.size()), totals[2].item<double>());
      ExpectShares(report.totals, totals.narrow(0, 3, 4), "totals");
      EXPECT_EQ(static_cast<double>(report.eligible_rows), totals[7].item<double>());

      const at::Tensor layers = golden_.Get(name + "/layers");  // [L, 6]
      for (const interventions::VarReport::Layer& layer : report.layers) {
        EXPECT_EQ(layer.visual_sinks, layers[layer.layer][0].item<double>()) << layer.layer;
        EXPECT_EQ(layer.text_sinks, layers[layer.layer][1].item<double>()) << layer.layer;
        ExpectShares(layer.shares, layers[layer.layer].narrow(0, 2, 4),
                     "layer " + std::to_string(layer.layer));
      }
      const at::Tensor sinks = golden_.Get(name + "/visual_sinks");  // [n, 5]
      for (int64_t i = 0; i < static_cast<int64_t>(report.visual_sinks.size()); ++i) {
        const interventions::VarReport::VisualSink& s = report.visual_sinks[i];
        // A thumbnail's rows count on from those of the grid.
        const int row = s.row + (s.in_thumbnail ? request.prompt->spans[s.image].layout->rows : 0);
        EXPECT_TRUE(
            at::allclose(sinks[i],
                         at::tensor({static_cast<float>(s.image), static_cast<float>(row),
                                     static_cast<float>(s.col), static_cast<float>(s.layers), s.max_phi}),
                         1e-4, 1e-4))
            << sinks[i];
      }
      try {
        const at::Tensor before = golden_.Get(name + "/map_before");
        const at::Tensor after = golden_.Get(name + "/map_after");
        ASSERT_EQ(static_cast<int64_t>(report.maps.size()), before.size(0));
        for (int64_t i = 0; i < before.size(0); ++i) {
          EXPECT_LT(testing::LargestDifference(at::tensor(report.maps[i].before), before[i]),
                    kReportTolerance);
          EXPECT_LT(testing::LargestDifference(at::tensor(report.maps[i].after), after[i]), kReportTolerance);
        }
      } catch (const std::out_of_range&) {  // not all cases have maps
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Interpreted, VarGoldenTest, testing::OneModelOnCuda(), testing::ModelAndBackendName);
INSTANTIATE_TEST_SUITE_P(Models, VarGoldenTest, testing::EveryModelAndBackend(),
                         testing::ModelAndBackendName);
INSTANTIATE_TEST_SUITE_P(Models, VarReportGoldenTest, testing::EveryModelAndBackend(),
                         testing::ModelAndBackendName);

}  // namespace
}  // namespace varserve::model
