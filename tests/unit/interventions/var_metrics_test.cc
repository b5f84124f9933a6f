#include <gtest/gtest.h>

#include "server/interventions/var/metrics.h"
#include "tests/unit/telemetry/registry_text.h"

namespace varserve::interventions {
namespace {

using telemetry::SeriesOf;

class VarMetricsTest : public testing::Test {
 protected:
  VarMetricsTest() { metrics_.OnModelLoaded(4); }

  // Layers 1 and 2 of 4, over 10 rows.
  static VarReport Report(Mode mode, const char* preset) {
    VarReport report;
    report.settings.mode = mode;
    report.preset = preset;
    report.eligible_rows = 10;
    report.visual_sink_tokens = 2.5;
    report.text_sink_tokens = 1;
    report.totals = {
        .changed_heads = 0.5F, .redistributed = 0.25F, .visual_before = 0.5F, .visual_after = 0.75F};
    report.layers = {{.layer = 1, .visual_sinks = 2, .text_sinks = 1, .shares = {.redistributed = 0.125F}},
                     {.layer = 2, .visual_sinks = 3, .text_sinks = 1, .shares = {.redistributed = 0.375F}}};
    return report;
  }
  std::map<std::string, double> Series() const { return SeriesOf(*families_.registry()); }

  const telemetry::MetricFamilies families_{"m"};
  VarMetrics metrics_{families_};
};

TEST_F(VarMetricsTest, AddsUpWhatReportsSay) {
  metrics_.OnReport(Report(Mode::kOn, "general"));
  metrics_.OnReport(Report(Mode::kOn, "general"));
  auto series = Series();
  EXPECT_EQ(series["varserve_var_sink_tokens_sum{kind=visual,preset=general,var=on}"], 5);
  EXPECT_EQ(series["varserve_var_sink_tokens_sum{kind=text,preset=general,var=on}"], 2);
  EXPECT_EQ(series["varserve_var_redistributed_attention_ratio_sum{preset=general,var=on}"], 0.5);
  EXPECT_EQ(series["varserve_var_image_centric_head_ratio_count{preset=general,var=on}"], 2);
  EXPECT_EQ(series["varserve_var_visual_attention_ratio_sum{preset=general,stage=before,var=on}"], 1);
  EXPECT_EQ(series["varserve_var_visual_attention_ratio_sum{preset=general,stage=after,var=on}"], 1.5);
  EXPECT_EQ(series["varserve_var_redistributed_attention_total{preset=general,var=on}"], 2 * 10 * 0.5);
  EXPECT_EQ(series["varserve_var_layer_sink_tokens_total{kind=visual,layer=2,var=on}"], 6);
  EXPECT_EQ(series["varserve_var_layer_redistributed_attention_total{layer=1,var=on}"], 2 * 10 * 0.125);
  EXPECT_EQ(series["varserve_var_layer_rows_total{layer=1,var=on}"], 20);
  EXPECT_EQ(series["varserve_var_layer_rows_total{layer=0,var=on}"], 0);
}

TEST_F(VarMetricsTest, ModesAndPresetsAreApart) {
  metrics_.OnReport(Report(Mode::kObserve, "hallucination"));
  metrics_.OnReport(Report(Mode::kOff, "hallucination"));
  auto series = Series();
  EXPECT_EQ(series["varserve_var_sink_tokens_count{kind=visual,preset=hallucination,var=observe}"], 1);
  EXPECT_EQ(series["varserve_var_sink_tokens_count{kind=visual,preset=hallucination,var=on}"], 0);
  EXPECT_EQ(series["varserve_var_layer_rows_total{layer=1,var=observe}"], 10);
  EXPECT_EQ(series["varserve_var_redistributed_attention_ratio_count{preset=hallucination,var=on}"], 0);
  for (const auto& [name, value] : series) {
    EXPECT_FALSE(name.find("redistributed") != name.npos && name.find("observe") != name.npos) << name;
  }
}

// A text-only request has sinks, but nothing VAR could change.
TEST_F(VarMetricsTest, NoRowsNoAttention) {
  VarReport report = Report(Mode::kOn, "custom");
  report.eligible_rows = 0;
  metrics_.OnReport(report);
  auto series = Series();
  EXPECT_EQ(series["varserve_var_sink_tokens_count{kind=text,preset=custom,var=on}"], 1);
  EXPECT_EQ(series["varserve_var_image_centric_head_ratio_count{preset=custom,var=on}"], 0);
  EXPECT_EQ(series["varserve_var_redistributed_attention_ratio_count{preset=custom,var=on}"], 0);
}

}  // namespace
}  // namespace varserve::interventions
