// PAI, VAF and SPIN: from a request's options to rows, and from evidence to the report.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "server/interventions/attention/attention_setting.h"
#include "server/interventions/attention/report.h"
#include "server/interventions/attention/row_intervention.h"
#include "server/interventions/pai/pai.h"
#include "server/interventions/spin/spin.h"
#include "server/interventions/table/table.h"
#include "server/interventions/vaf/vaf.h"
#include "tests/testing/image_span.h"
#include "tests/unit/telemetry/registry_text.h"

namespace varserve::interventions {
namespace {

using ::testing::ElementsAre;

constexpr AttentionDefaults kDefaults = {.num_layers = 32, .num_heads = 20};

// Tokens: text 0, image 1..4, text 5, image 6..7, text 8.
Prompt TwoImages() {
  Prompt prompt;
  prompt.token_ids.assign(9, 50);
  prompt.spans = {testing::MakeSpan(1, 5, 2, 2), testing::MakeSpan(6, 8, 1, 2)};
  return prompt;
}

const Intervention& InterventionOf(const absl::StatusOr<std::shared_ptr<const Setting>>& setting) {
  return *(*setting)->intervention();
}

AttentionRow RowOf(const Intervention& intervention, int position) {
  const Prompt prompt = TwoImages();
  AttentionRow row;
  row.sequence = 3;
  row.num_slots = 17;
  row.map = 2;
  intervention.SetRow({.prompt = prompt, .position = position, .prompt_slots = 12}, row);
  return row;
}

std::vector<int> ActedOn(const Intervention& intervention) {
  const Prompt prompt = TwoImages();
  std::vector<int> positions;
  for (int position = 0; position < 11; ++position) {
    if (intervention.ActsOn(prompt, position)) positions.push_back(position);
  }
  return positions;
}

TEST(RowInterventionsTest, DefaultsAreTheAuthors) {
  const auto pai = ReadPai({}, kDefaults);
  const AttentionRow amplified = RowOf(InterventionOf(pai), 8);
  EXPECT_EQ(amplified.change, RowChange::kReweigh);
  EXPECT_EQ(amplified.visual_boost, 0.2F);
  EXPECT_EQ(amplified.visual_scale, 1.0F);
  EXPECT_EQ(amplified.text_scale, 1.0F);
  EXPECT_EQ(amplified.first_layer, 2);
  EXPECT_EQ(amplified.last_layer, 31);

  const auto vaf = ReadVaf({}, kDefaults);
  const AttentionRow fused = RowOf(InterventionOf(vaf), 5);
  EXPECT_EQ(fused.change, RowChange::kReweigh);
  EXPECT_EQ(fused.visual_scale, 1.15F);
  EXPECT_EQ(fused.text_scale, 0.95F);
  EXPECT_EQ(fused.visual_boost, 0.0F);
  EXPECT_EQ(fused.text_slots, 1);
  EXPECT_EQ(fused.first_layer, 9);
  EXPECT_EQ(fused.last_layer, 14);

  const auto spin = ReadSpin({}, kDefaults);
  const AttentionRow suppressed = RowOf(InterventionOf(spin), 8);
  EXPECT_EQ(suppressed.change, RowChange::kSuppressHeads);
  EXPECT_EQ(suppressed.kept_heads, 19);
  EXPECT_EQ(suppressed.suppressed_gain, 0.08F);
  EXPECT_EQ(suppressed.first_layer, 0);
  EXPECT_EQ(suppressed.last_layer, 31);
}

TEST(RowInterventionsTest, SmallDecodersHaveLayersToChange) {
  for (int layers = 1; layers <= 40; ++layers) {
    AttentionDefaults defaults = kDefaults;
    defaults.num_layers = layers;
    for (const auto& setting : {ReadPai({}, defaults), ReadVaf({}, defaults), ReadSpin({}, defaults)})
      EXPECT_TRUE(InterventionOf(setting).Check(layers, 0).ok()) << layers;
  }
  EXPECT_FALSE(InterventionOf(ReadPai({}, kDefaults)).Check(31, 0).ok());
}

TEST(RowInterventionsTest, RowsKeepTheirPlaceAndOthersAreUntouched) {
  const auto pai = ReadPai({}, kDefaults);
  const AttentionRow row = RowOf(InterventionOf(pai), 8);
  EXPECT_EQ(row.sequence, 3);
  EXPECT_EQ(row.num_slots, 17);
  EXPECT_EQ(row.map, 2);
  const AttentionRow untouched = RowOf(InterventionOf(pai), 5);
  EXPECT_GT(untouched.first_layer, untouched.last_layer);
}

TEST(RowInterventionsTest, PaiAndSpinActOnTheRowsThatChooseTokensVafOnAllText) {
  EXPECT_THAT(ActedOn(InterventionOf(ReadPai({}, kDefaults))), ElementsAre(8, 9, 10));
  EXPECT_THAT(ActedOn(InterventionOf(ReadSpin({}, kDefaults))), ElementsAre(8, 9, 10));
  EXPECT_THAT(ActedOn(InterventionOf(ReadVaf({}, kDefaults))), ElementsAre(5, 8, 9, 10));
  Prompt text;
  text.token_ids.assign(3, 50);
  EXPECT_FALSE(InterventionOf(ReadPai({}, kDefaults)).ActsOn(text, 2));
}

// The last token of a prompt is not the last one of a longer prompt.
TEST(RowInterventionsTest, SharesOnlyBlocksThatAreTheSameInALongerPrompt) {
  const Prompt prompt = TwoImages();
  const auto pai = ReadPai({}, kDefaults);
  EXPECT_TRUE(InterventionOf(pai).MayShare(prompt, 8));
  EXPECT_FALSE(InterventionOf(pai).MayShare(prompt, 9));
  EXPECT_TRUE(InterventionOf(ReadVaf({}, kDefaults)).MayShare(prompt, 11));
}

TEST(RowInterventionsTest, EachMethodAndSettingHasItsOwnKey) {
  v1::PaiOptions stronger;
  stronger.set_alpha(0.3F);
  v1::PaiOptions later;
  later.set_first_layer(3);
  v1::SpinOptions fewer;
  fewer.set_kept_head_ratio(0.5F);
  const std::vector<absl::StatusOr<std::shared_ptr<const Setting>>> settings = {
      ReadPai({}, kDefaults), ReadPai(stronger, kDefaults), ReadPai(later, kDefaults),
      ReadVaf({}, kDefaults), ReadSpin({}, kDefaults),      ReadSpin(fewer, kDefaults)};
  std::set<std::string> keys;
  for (const auto& setting : settings) keys.insert(InterventionOf(setting).key());
  EXPECT_EQ(keys.size(), settings.size());
}

TEST(RowInterventionsTest, ProblemsNameTheField) {
  const auto problem = [](const auto& setting) { return std::string(setting.status().message()); };
  v1::PaiOptions pai;
  pai.set_alpha(-1);
  EXPECT_EQ(problem(ReadPai(pai, kDefaults)), "alpha: -1 is not in [0, 10]");
  pai.set_alpha(1);
  pai.set_first_layer(32);
  EXPECT_EQ(problem(ReadPai(pai, kDefaults)), "first_layer: 32 is not in [0, 31]");
  pai.set_first_layer(9);
  pai.set_last_layer(8);
  EXPECT_EQ(problem(ReadPai(pai, kDefaults)), "first_layer: 9 is above last_layer 8");
  v1::VafOptions vaf;
  vaf.set_text_scale(11);
  EXPECT_EQ(problem(ReadVaf(vaf, kDefaults)), "text_scale: 11 is not in [0, 10]");
  vaf.set_text_scale(1);
  vaf.set_detail(static_cast<v1::VarDetail>(9));
  EXPECT_EQ(problem(ReadVaf(vaf, kDefaults)), "detail: 9 is not a VarDetail");
  v1::SpinOptions spin;
  spin.set_suppressed_gain(2);
  EXPECT_EQ(problem(ReadSpin(spin, kDefaults)), "suppressed_gain: 2 is not in [0, 1]");
  spin.set_suppressed_gain(1);
  spin.set_detail(v1::VAR_DETAIL_MAPS);
  EXPECT_THAT(problem(ReadSpin(spin, kDefaults)), ::testing::StartsWith("detail: SPIN scales heads"));
}

TEST(RowInterventionsTest, TheTableOffersEveryMethod) {
  Defaults defaults;
  defaults.var = {.profile_tau = 20.0F, .num_layers = 32};
  defaults.attention = kDefaults;
  v1::Model all;
  all.mutable_var_profile();
  ASSERT_TRUE(DescribeDefaults(defaults, all).ok());
  ASSERT_EQ(all.interventions_size(), 7);
  EXPECT_TRUE(all.interventions(0).has_var());
  EXPECT_EQ(all.interventions(1).pai().alpha(), 0.2F);
  EXPECT_EQ(all.interventions(3).spin().detail(), v1::VAR_DETAIL_LAYERS);
  EXPECT_EQ(all.interventions(4).vcd().noise_step(), 500U);
  EXPECT_TRUE(all.interventions(5).has_icd());
  EXPECT_TRUE(all.interventions(6).has_m3id());

  v1::Model without_profile;
  ASSERT_TRUE(DescribeDefaults(defaults, without_profile).ok());
  EXPECT_EQ(without_profile.default_var().mode(), v1::VAR_MODE_OFF);
  ASSERT_EQ(without_profile.interventions_size(), 6);
  EXPECT_TRUE(without_profile.interventions(0).has_pai());
}

class AttentionReportTest : public ::testing::Test {
 protected:
  // VAF in layers 1 and 2 of 3. Rows 5, 8 and 9, each with its own attention.
  std::unique_ptr<const Report> MakeReport() {
    v1::VafOptions options;
    options.set_first_layer(1);
    options.set_last_layer(2);
    options.set_detail(v1::VAR_DETAIL_MAPS);
    AttentionDefaults defaults = kDefaults;
    defaults.num_layers = 3;
    setting_ = *ReadVaf(options, defaults);
    SequenceEvidence evidence{.prompt = prompt_, .num_layers = 3, .tokens = {}, .maps = {}};
    evidence.tokens.resize(10);
    for (const int position : {5, 8, 9}) {
      for (int layer = 0; layer < 3; ++layer) {
        const auto before = 0.01F * static_cast<float>(position);
        shares_[position][layer] = {
            .changed_heads = 1.0F, .visual_before = before, .visual_after = before + 0.25F * layer};
      }
      evidence.tokens[position].shares = shares_[position];
    }
    evidence.maps = {{.position = 8, .before = {1, 2, 3, 4, 5, 6}, .after = {2, 3, 4, 5, 6, 7}}};
    return setting_->intervention()->MakeReport(std::move(evidence));
  }

  const Prompt prompt_ = TwoImages();
  AttentionShares shares_[10][3];
  std::shared_ptr<const Setting> setting_;
};

TEST_F(AttentionReportTest, HasWhatTheDetailSays) {
  const auto report = MakeReport();
  const std::vector<int32_t> generated = {60};
  v1::Finished finished;
  setting_->Convert(*report,
                    {.prompt = prompt_,
                     .generated = generated,
                     .token_text = [](int32_t id) { return std::to_string(id); },
                     .max_map_bytes = 1 << 20,
                     .max_bytes = 1 << 20},
                    finished);
  EXPECT_FALSE(finished.has_var_report());
  const v1::InterventionReport& proto = finished.intervention_report();
  EXPECT_EQ(proto.effective().vaf().first_layer(), 1U);
  EXPECT_EQ(proto.rows(), 3U);
  EXPECT_EQ(proto.changed_head_ratio(), 1.0F);
  EXPECT_NEAR(proto.visual_attention_before(), (0.05 + 0.08 + 0.09) / 3, 1e-6);
  EXPECT_NEAR(proto.visual_attention_after(), (0.05 + 0.08 + 0.09) / 3 + 0.375, 1e-6);
  ASSERT_EQ(proto.layers_size(), 2);
  EXPECT_EQ(proto.layers(1).layer(), 2U);
  EXPECT_NEAR(proto.layers(1).visual_attention_after(), (0.05 + 0.08 + 0.09) / 3 + 0.5, 1e-6);
  ASSERT_EQ(proto.tokens_size(), 3);
  EXPECT_EQ(proto.tokens(2).position(), 9U);
  EXPECT_EQ(proto.tokens(2).text(), "60");
  EXPECT_TRUE(proto.tokens(2).generated());
  EXPECT_NEAR(proto.tokens(2).visual_attention_after(), 0.09 + 0.375, 1e-6);
  ASSERT_EQ(proto.maps_size(), 2);  // one for each image
  EXPECT_THAT(proto.maps(1).after(), ElementsAre(6, 7));
  EXPECT_THAT(setting_->map_layers(), ElementsAre(1, 2));
  EXPECT_THAT(setting_->LogFieldsOf(*report), ::testing::SizeIs(4));
  v1::Started started;
  setting_->Describe(started);
  EXPECT_EQ(started.var().mode(), v1::VAR_MODE_OFF);
  EXPECT_TRUE(started.intervention().has_vaf());
  EXPECT_EQ(setting_->mode(), Mode::kOff);
}

TEST_F(AttentionReportTest, MetricsAreByMethod) {
  const telemetry::MetricFamilies families{"m"};
  for (const telemetry::MakeReportMetrics make : ReportMetricsMakers()) {
    const auto metrics = make(families);
    metrics->OnModelLoaded(3);
    metrics->OnReport(*MakeReport());
  }
  auto series = telemetry::SeriesOf(*families.registry());
  EXPECT_EQ(series["varserve_intervention_visual_attention_ratio_count{method=vaf,stage=after}"], 1);
  EXPECT_EQ(series["varserve_intervention_visual_attention_ratio_count{method=pai,stage=after}"], 0);
  EXPECT_EQ(series["varserve_intervention_changed_head_ratio_sum{method=vaf}"], 1);
}

TEST(AttentionSettingTest, TokensBeyondTheLimitAreLeftOut) {
  AttentionReport report;
  report.layers.resize(32, {.shares = {.changed_heads = 0.5F}});
  report.rows.resize(50, {.position = 8});
  const Prompt prompt = TwoImages();
  const auto size = [&](v1::VarDetail detail, size_t limit) {
    v1::Finished finished;
    MakeAttentionSetting({}, detail, {})
        ->Convert(report,
                  {.prompt = prompt,
                   .generated = {},
                   .token_text = [](int32_t) { return std::string("text"); },
                   .max_bytes = limit},
                  finished);
    EXPECT_EQ(finished.intervention_report().tokens_truncated(),
              detail == v1::VAR_DETAIL_TOKENS && finished.intervention_report().tokens_size() < 50);
    return finished.intervention_report().ByteSizeLong();
  };
  const size_t totals = size(v1::VAR_DETAIL_NONE, 1 << 20);
  const size_t all = size(v1::VAR_DETAIL_TOKENS, 1 << 20);
  constexpr size_t kLayers = 32 * 11;  // bytes, with frames
  ASSERT_LT(totals + kLayers + 100, all);
  for (size_t limit = kLayers; totals + limit < all; limit += 50)
    EXPECT_LE(size(v1::VAR_DETAIL_TOKENS, limit), totals + limit);
}

}  // namespace
}  // namespace varserve::interventions
