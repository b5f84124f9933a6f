#include "server/engine/evidence.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/engine/engine_testing.h"

namespace varserve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kLayers = 3;

ModelFacts Facts() {
  ModelFacts facts = FakeModelRunner::SmallFacts();
  facts.num_layers = kLayers;
  return facts;
}

// Tokens: text 0, image 1..4 (2 x 2), text 5 (eligible), generated 6 (eligible). Blocks of 4 slots: the
// prefix, 5 tokens, lies in the first two.
class EvidenceTest : public ::testing::Test {
 protected:
  EvidenceTest() : request_(MakeRequest(PromptBuilder().Text(1).Image(1, 2, 2).Text(1).Build(), 4, kOn)) {}

  // phi of each of the step's tokens by layer, for both planes alike, and the shares of its eligible rows.
  void Record(int begin, int end, const std::vector<std::vector<float>>& phi,
              const std::vector<AttentionShares>& rows) {
    SequenceResult result;
    for (int plane = 0; plane < kNumPhiPlanes; ++plane) {
      for (int layer = 0; layer < kLayers; ++layer) {
        for (int t = 0; t < end - begin; ++t) result.measures.push_back(phi[t][layer]);
      }
    }
    result.rows = rows;
    SequenceStep step{
        .sequence = 1, .request = &request_, .generated = {}, .begin = begin, .end = end, .blocks = blocks_};
    evidence_.Record(step, layout_, result);
  }

  void RecordAll() {
    Record(0, 5, {{50, 50, 50}, {0, 20, 0}, {0, 0, 0}, {25, 30, 90}, {19, 19, 19}}, {});
    Record(5, 6, {{0, 20, 0}}, {{0.5F, 0.1F, 0.4F, 0.5F}, {1.0F, 0.3F, 0.2F, 0.4F}, {9, 9, 9, 9}});
    Record(6, 7, {{40, 0, 0}}, {{0.0F, 0.0F, 0.2F, 0.2F}, {0.5F, 0.2F, 0.4F, 0.5F}, {9, 9, 9, 9}});
  }

  VarReport Report(const VarSettings& var, int num_tokens = 7) {
    return *MakeVarReport(var, {.prompt = *request_.prompt,
                                .num_layers = kLayers,
                                .tokens = evidence_.Of(layout_, blocks_, num_tokens),
                                .maps = {}});
  }

  GenerationRequest request_;
  const SlotLayout layout_{5, 4};
  const std::vector<BlockId> blocks_ = {7, 3, 9};
  Evidence evidence_{Facts()};
};

TEST_F(EvidenceTest, TakesMemoryForTheBlocksInUseAndNoMore) {
  EXPECT_EQ(Evidence::BlockBytes(Facts()), 4 * kLayers * (2 * 4 + 16));
  ModelFacts no_profile = Facts();
  no_profile.token_measures = 0;
  EXPECT_EQ(Evidence::BlockBytes(no_profile), 4 * kLayers * 16);
  EXPECT_EQ(evidence_.bytes(), 0);
  for (int i = 0; i < 3; ++i) {
    RecordAll();
    EXPECT_GT(evidence_.bytes(), 0);
    EXPECT_LE(evidence_.bytes(), 3 * Evidence::BlockBytes(Facts()));
  }
}

// Interventions other than VAR need no measurements.
TEST_F(EvidenceTest, KeepsSharesOfModelsThatMeasureNothing) {
  ModelFacts no_profile = Facts();
  no_profile.token_measures = 0;
  Evidence evidence(no_profile);
  SequenceResult result;
  result.rows = {{.visual_after = 0.5F}, {.visual_after = 0.25F}, {}};
  evidence.Record(
      {.sequence = 1, .request = &request_, .generated = {}, .begin = 5, .end = 6, .blocks = blocks_},
      layout_, result);
  const auto tokens = evidence.Of(layout_, blocks_, 6);
  ASSERT_NE(tokens[5].shares, nullptr);
  EXPECT_EQ(tokens[5].shares[1].visual_after, 0.25F);
  EXPECT_EQ(tokens[0].shares, nullptr);
}

TEST_F(EvidenceTest, CountsSinksOfEachLayerFromTauOn) {
  RecordAll();
  const VarReport report = Report({.mode = Mode::kOn, .tau = 20, .first_layer = 0, .last_layer = 1});
  ASSERT_THAT(report.layers, SizeIs(2));
  EXPECT_EQ(report.layers[0].layer, 0);
  EXPECT_EQ(report.layers[0].visual_sinks, 1);
  EXPECT_EQ(report.layers[0].text_sinks, 2);  // the first token and the generated one
  EXPECT_EQ(report.layers[1].visual_sinks, 2);
  EXPECT_EQ(report.layers[1].text_sinks, 2);  // the first token and the question, at tau
  EXPECT_DOUBLE_EQ(report.visual_sink_tokens, 1.5);
  EXPECT_DOUBLE_EQ(report.text_sink_tokens, 2.0);
}

TEST_F(EvidenceTest, AuthorsCodeComparesStrictlyAndKeepsToThePrompt) {
  RecordAll();
  const VarReport report = Report(
      {.mode = Mode::kOn, .variant = VarVariant::kAuthorsCode, .tau = 20, .first_layer = 0, .last_layer = 1});
  EXPECT_EQ(report.layers[0].text_sinks, 1);
  EXPECT_EQ(report.layers[1].visual_sinks, 1);
  EXPECT_EQ(report.layers[1].text_sinks, 1);
}

TEST_F(EvidenceTest, VariantsReadTheirOwnPlane) {
  Record(0, 5, std::vector<std::vector<float>>(5, {0, 0, 0}), {});
  SequenceResult result;
  result.measures = {0, 0, 0, 30, 30, 30};
  result.rows = std::vector<AttentionShares>(kLayers);
  SequenceStep step{
      .sequence = 1, .request = &request_, .generated = {}, .begin = 5, .end = 6, .blocks = blocks_};
  evidence_.Record(step, layout_, result);
  EXPECT_EQ(Report(kOn, 6).layers[0].text_sinks, 0);
  VarSettings authors = kAuthors;
  authors.last_layer = 2;
  EXPECT_EQ(Report(authors, 6).layers[0].text_sinks, 1);
}

TEST_F(EvidenceTest, PlacesVisualSinksInTheGrid) {
  RecordAll();
  const VarReport report = Report({.mode = Mode::kObserve, .tau = 20, .first_layer = 0, .last_layer = 1});
  ASSERT_THAT(report.visual_sinks, SizeIs(2));
  const VarReport::VisualSink& first = report.visual_sinks[0];
  EXPECT_THAT(std::vector({first.image, first.row, first.col, first.layers}), ElementsAre(0, 0, 0, 1));
  EXPECT_EQ(first.max_phi, 20.0F);
  const VarReport::VisualSink& second = report.visual_sinks[1];
  EXPECT_THAT(std::vector({second.image, second.row, second.col, second.layers}), ElementsAre(0, 1, 0, 2));
  EXPECT_EQ(second.max_phi, 30.0F) << "layer 2 is outside the setting's range";
}

TEST_F(EvidenceTest, MeansRunOverRowsAndVarLayers) {
  RecordAll();
  const VarReport report = Report({.mode = Mode::kOn, .tau = 20, .first_layer = 0, .last_layer = 1});
  EXPECT_EQ(report.eligible_rows, 2);
  EXPECT_FLOAT_EQ(report.totals.changed_heads, 0.5F);
  EXPECT_FLOAT_EQ(report.totals.redistributed, 0.15F);
  EXPECT_FLOAT_EQ(report.totals.visual_before, 0.3F);
  EXPECT_FLOAT_EQ(report.totals.visual_after, 0.4F);
  EXPECT_FLOAT_EQ(report.layers[0].shares.redistributed, 0.05F);
  EXPECT_FLOAT_EQ(report.layers[1].shares.redistributed, 0.25F);
  ASSERT_THAT(report.rows, SizeIs(2));
  EXPECT_EQ(report.rows[0].position, 5);
  EXPECT_FLOAT_EQ(report.rows[0].shares.redistributed, 0.2F);
  EXPECT_EQ(report.rows[1].position, 6);
  EXPECT_FLOAT_EQ(report.rows[1].shares.redistributed, 0.1F);
}

TEST_F(EvidenceTest, PromptWithoutImageHasNoRows) {
  request_ = MakeRequest(PromptBuilder().Text(5).Build(), 4, kOn);
  Record(0, 5, std::vector<std::vector<float>>(5, {30, 0, 0}), {});
  const VarReport report = Report(kOn, 5);
  EXPECT_EQ(report.eligible_rows, 0);
  EXPECT_EQ(report.totals.visual_before, 0.0F);
  EXPECT_EQ(report.layers[0].text_sinks, 5);
  EXPECT_EQ(report.layers[0].visual_sinks, 0);
  EXPECT_THAT(report.visual_sinks, IsEmpty());
  EXPECT_THAT(report.rows, IsEmpty());
}

}  // namespace
}  // namespace varserve::engine
