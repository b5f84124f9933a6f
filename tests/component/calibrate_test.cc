// Calibration of models whose sinks are known: planted ones, none, and those of the golden values.
#include "tools/calibrate/calibrate.h"

#include <gmock/gmock.h>

#include <array>
#include <numeric>
#include <random>

#include "server/backend/torch/sink_measure.h"
#include "tests/component/golden.h"
#include "tools/calibrate/layer_probe.h"
#include "tools/calibrate/profile_file.h"

namespace varserve::calibrate {
namespace {

using backend::BackendKind;
using nlohmann::json;
using ::testing::ElementsAreArray;
using testing::Golden;
using ::testing::IsEmpty;
using testing::TinyModel;

constexpr int kPlaceholder = 159;
constexpr int kVisual = 16;  // tokens of a picture of clip_gqa
constexpr int kBos = 1;
constexpr std::array<int, 3> kSinkTokens = {kBos, 13, 47};
constexpr int kAsker = 20;  // dimension by which every text token asks for sinks
constexpr int kDecoy = 33;  // dimension that is large at every token
constexpr int kHeadDim = 16;

// clip_gqa's random weights without its sinks, but with `dimensions` huge at the sink tokens, and attention
// drawn to the tokens where they are: a query's and key's last value, which hardly rotates, are large there.
void Plant(json& spec, const std::vector<int>& dimensions) {
  for (json& tensor : spec["tensors"]) {
    tensor.erase("rows");
    tensor.erase("cells");
    const auto name = tensor["name"].get<std::string>();
    const auto ends_with = [&](const std::string& end) { return name.ends_with(end); };
    json cells = json::array();
    if (ends_with("embed_tokens.weight")) {
      for (int token = 0; token < 160; ++token) {
        cells.push_back({token, kAsker, 1.0});
        cells.push_back({token, kDecoy, 6.0});
      }
      for (const int token : kSinkTokens) {
        for (size_t i = 0; i < dimensions.size(); ++i)
          cells.push_back({token, dimensions[i], 60.0 - 15.0 * i});
      }
    } else if (ends_with("linear_2.bias")) {
      cells.push_back({kDecoy, 6.0});
    } else if (ends_with("q_proj.weight") && name.find("language_model") != std::string::npos) {
      for (int head = 0; head < 6; ++head) cells.push_back({head * kHeadDim + kHeadDim - 1, kAsker, 4.0});
    } else if (ends_with("k_proj.weight") && name.find("language_model") != std::string::npos &&
               !dimensions.empty()) {
      for (int head = 0; head < 2; ++head)
        cells.push_back({head * kHeadDim + kHeadDim - 1, dimensions[0], 1.0});
    }
    if (!cells.empty()) tensor["cells"] = cells;
  }
}

TinyModel Planted(const std::vector<int>& dimensions) {
  return TinyModel("clip_gqa", [&](json& spec) { Plant(spec, dimensions); });
}

// BOS, a picture, and text in which some sink tokens are.
std::vector<std::shared_ptr<const Prompt>> Prompts(const TinyModel& tiny) {
  std::mt19937 random(5);
  std::vector<std::shared_ptr<const Prompt>> prompts;
  for (int i = 0; i < 4; ++i) {
    std::vector<int32_t> ids = {kBos, 3, 4};
    ids.insert(ids.end(), kVisual, kPlaceholder);
    for (int t = 0; t < 40; ++t)
      ids.push_back(t % 16 == 7 ? kSinkTokens[1 + t / 16 % 2] : 48 + static_cast<int>(random() % 110));
    prompts.push_back(tiny.MakePrompt(ids, {{3, 3 + kVisual, 4, 4}}));
  }
  return prompts;
}

class CalibrateTest : public ::testing::TestWithParam<BackendKind> {
 protected:
  Findings Find(const TinyModel& tiny) const {
    const auto model = tiny.Load(GetParam());
    auto findings = Calibrate(*model, Prompts(tiny), [](int, int) {});
    EXPECT_TRUE(findings.ok()) << findings.status();
    return *std::move(findings);
  }
};

TEST_P(CalibrateTest, FindsExactlyThePlantedDimensions) {
  for (const std::vector<int>& dimensions : {std::vector<int>{70}, {9, 52}, {0, 41, 95}}) {
    const TinyModel tiny = Planted(dimensions);
    const Findings findings = Find(tiny);
    ASSERT_TRUE(findings.calibration.has_value());
    const Calibration& c = *findings.calibration;
    EXPECT_THAT(c.sink_dimensions, ElementsAreArray(dimensions));
    EXPECT_EQ(c.first_layer, 0);
    EXPECT_EQ(c.last_layer, 3);
    // tau parts exactly the sink tokens from the others, and it is they who get the attention.
    for (const LayerSummary& layer : c.layers) {
      EXPECT_EQ(layer.visual_sinks, 0.0);
      EXPECT_EQ(layer.text_sinks, 4.0);  // BOS and three in the text
    }
    EXPECT_GT(c.agreement.precision(), 0.7);
    EXPECT_GT(c.agreement.recall(), 0.9);
  }
}

TEST_P(CalibrateTest, FindsNothingWhereNothingIs) {
  const TinyModel tiny = Planted({});
  const Findings findings = Find(tiny);
  EXPECT_FALSE(findings.calibration.has_value());
  EXPECT_THAT(findings.observations, IsEmpty());
}

TEST_P(CalibrateTest, TheServerReadsTheProfile) {
  const TinyModel tiny = Planted({9, 52});
  const Findings findings = Find(tiny);
  ASSERT_TRUE(findings.calibration.has_value());
  const std::string path = tiny.dir() + "/var_profile.json";
  ASSERT_TRUE(WriteProfile(ProfileJson(*findings.calibration, "planted", "a test"), path).ok());
  const auto model = tiny.Load();
  ASSERT_TRUE(model->var_profile().has_value());
  EXPECT_THAT(model->var_profile()->sink_dimensions, ElementsAreArray({9, 52}));
  EXPECT_NEAR(model->var_profile()->tau, findings.calibration->threshold.tau, 1e-3);
  EXPECT_EQ(model->var_profile()->source, "model directory: a test");
  EXPECT_EQ(model->var_profile()->decoder, "planted");
}

// phi of the hidden states seen and the attention on the picture equal those of the slow reference.
TEST_P(CalibrateTest, ProbeShowsWhatTheReferenceComputes) {
  const TinyModel tiny("clip_mha");
  const Golden golden("clip_mha.var");
  const auto model = tiny.Load(GetParam());
  const json cases = ReadJson(RepositoryPath("tests/golden/data/clip_mha.var.json"));
  const auto observe =
      std::find_if(cases.begin(), cases.end(), [](const json& c) { return c["name"] == "observe"; });
  ASSERT_NE(observe, cases.end());
  auto ids = (*observe)["input_ids"].get<std::vector<int32_t>>();
  const std::vector<int32_t> generated = golden.Ids("observe/tokens");
  ids.insert(ids.end(), generated.begin(), generated.end() - 1);
  const auto spans = (*observe)["spans"].get<std::vector<std::vector<int>>>();
  const auto prompt = tiny.MakePrompt(ids, spans);

  const at::Tensor phi = golden.Get("observe/phi");                     // [L, N]
  const at::Tensor visual = golden.Get("observe/shares").select(2, 2);  // [rows, L]
  const auto profile = tiny.spec()["profile"]["sink_dimensions"].get<std::vector<int64_t>>();
  int layers = 0;
  const absl::Status status = ProbeLayers(*model, prompt, [&](const ProbedLayer& layer) {
    EXPECT_EQ(layer.layer, layers++);
    const at::Tensor seen =
        backend::SinkMeasure(layer.hidden.cpu(), at::tensor(profile, at::kLong), 1e-5, 1e-5)[0];
    EXPECT_TRUE(at::allclose(seen, phi[layer.layer], 1e-4, 1e-4));
    if (layer.layer > (*observe)["settings"]["last_layer"].get<int>()) return;
    const double share =
        std::accumulate(layer.attention.begin() + spans[0][0], layer.attention.begin() + spans[0][1], 0.0,
                        [](double sum, const ReceivedAttention& received) { return sum + received.share; });
    EXPECT_NEAR(share, visual.select(1, layer.layer).mean().item<double>(), 1e-4);
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(layers, 4);
}

TEST_P(CalibrateTest, ProbeRefusesShortQuestions) {
  const TinyModel tiny("clip_mha");
  const auto model = tiny.Load(GetParam());
  std::vector<int32_t> ids(kVisual, kPlaceholder);
  ids.insert(ids.end(), {5, 6, 7});
  EXPECT_EQ(ProbeLayers(*model, tiny.MakePrompt(ids, {{0, kVisual, 4, 4}}), [](const ProbedLayer&) {}).code(),
            absl::StatusCode::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Operators, CalibrateTest, ::testing::Values(BackendKind::kCpu, BackendKind::kTorch),
                         [](const auto& info) { return info.param == BackendKind::kCpu ? "Cpu" : "Torch"; });

}  // namespace
}  // namespace varserve::calibrate
