#include "server/interventions/var/metrics.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace varserve::interventions {
namespace {

using prometheus::Histogram;

const std::vector<double> kRatios = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2,
                                     0.3,   0.4,   0.5,   0.6,  0.7,  0.8,  0.9, 1};
const std::vector<double> kSinkTokens = {0, 1, 2, 5, 10, 20, 30, 50, 100, 200, 500, 1000};

std::vector<std::string> PresetNames() {
  std::vector<std::string> names;
  for (const VarPresetRow& preset : kVarPresets) names.emplace_back(preset.name);
  names.emplace_back(kCustomPreset);
  return names;
}

}  // namespace

VarMetrics::VarMetrics(const telemetry::MetricFamilies& families)
    : sinks_(families.Histogram("var_sink_tokens",
                                "Sink tokens of a request's layers, mean over the VAR layers.")),
      redistributed_ratio_(families.Histogram(
          "var_redistributed_attention_ratio",
          "Attention that VAR moved in a request, mean over its eligible rows, heads and VAR layers.")),
      image_centric_(
          families.Histogram("var_image_centric_head_ratio",
                             "Share of a request's (row, head, layer) combinations that are image-centric.")),
      visual_(families.Histogram("var_visual_attention_ratio",
                                 "Attention on visual tokens before and after VAR, mean over a request's "
                                 "eligible rows, heads and VAR layers.")),
      redistributed_(families.Counter(
          "var_redistributed_attention_total",
          "Attention that VAR moved: mean over heads, summed over eligible rows and VAR layers.")),
      layer_sinks_(families.Counter("var_layer_sink_tokens_total",
                                    "Sink tokens of a decoder layer, summed over requests.")),
      layer_redistributed_(families.Counter(
          "var_layer_redistributed_attention_total",
          "Attention that VAR moved in a decoder layer: mean over heads, summed over eligible rows.")),
      layer_rows_(families.Counter("var_layer_rows_total", "Eligible rows of a decoder layer.")) {
  for (const std::string& preset : PresetNames()) {
    for (const char* var : {ModeName(Mode::kObserve), ModeName(Mode::kOn)}) {
      sinks_.Add({{"kind", "visual"}, {"var", var}, {"preset", preset}}, kSinkTokens);
      sinks_.Add({{"kind", "text"}, {"var", var}, {"preset", preset}}, kSinkTokens);
      image_centric_.Add({{"var", var}, {"preset", preset}}, kRatios);
      visual_.Add({{"stage", "before"}, {"var", var}, {"preset", preset}}, kRatios);
    }
    visual_.Add({{"stage", "after"}, {"var", ModeName(Mode::kOn)}, {"preset", preset}}, kRatios);
    redistributed_ratio_.Add({{"var", ModeName(Mode::kOn)}, {"preset", preset}}, kRatios);
    redistributed_.Add({{"var", ModeName(Mode::kOn)}, {"preset", preset}});
  }
}

void VarMetrics::OnModelLoaded(int num_layers) {
  for (const Mode mode : {Mode::kObserve, Mode::kOn}) {
    for (int l = 0; l < num_layers; ++l) {
      const std::string layer = absl::StrCat(l);
      const prometheus::Labels labels = {{"layer", layer}, {"var", ModeName(mode)}};
      layers_[static_cast<int>(mode)].push_back(
          {.visual_sinks = &layer_sinks_.Add({{"layer", layer}, {"kind", "visual"}, {"var", ModeName(mode)}}),
           .text_sinks = &layer_sinks_.Add({{"layer", layer}, {"kind", "text"}, {"var", ModeName(mode)}}),
           .rows = &layer_rows_.Add(labels),
           .redistributed = mode == Mode::kOn ? &layer_redistributed_.Add(labels) : nullptr});
    }
  }
}

void VarMetrics::OnReport(const Report& any_report) {
  const auto* var_report = dynamic_cast<const VarReport*>(&any_report);
  if (var_report == nullptr || !var_report->settings.measured()) return;
  const VarReport& report = *var_report;
  const Mode mode = report.settings.mode;
  const std::string preset(report.preset);
  const char* var = ModeName(mode);
  std::vector<LayerSeries>& layers = layers_[static_cast<int>(mode)];
  sinks_.Add({{"kind", "visual"}, {"var", var}, {"preset", preset}}, kSinkTokens)
      .Observe(report.visual_sink_tokens);
  sinks_.Add({{"kind", "text"}, {"var", var}, {"preset", preset}}, kSinkTokens)
      .Observe(report.text_sink_tokens);
  for (const VarReport::Layer& layer : report.layers) {
    layers[layer.layer].visual_sinks->Increment(layer.visual_sinks);
    layers[layer.layer].text_sinks->Increment(layer.text_sinks);
  }

  if (report.eligible_rows == 0) return;
  const auto rows = static_cast<double>(report.eligible_rows);
  image_centric_.Add({{"var", var}, {"preset", preset}}, kRatios).Observe(report.totals.changed_heads);
  visual_.Add({{"stage", "before"}, {"var", var}, {"preset", preset}}, kRatios)
      .Observe(report.totals.visual_before);
  for (const VarReport::Layer& layer : report.layers) layers[layer.layer].rows->Increment(rows);

  if (mode != Mode::kOn) return;
  visual_.Add({{"stage", "after"}, {"var", var}, {"preset", preset}}, kRatios)
      .Observe(report.totals.visual_after);
  redistributed_ratio_.Add({{"var", var}, {"preset", preset}}, kRatios).Observe(report.totals.redistributed);
  prometheus::Counter& redistributed = redistributed_.Add({{"var", var}, {"preset", preset}});
  for (const VarReport::Layer& layer : report.layers) {
    const double moved = layer.shares.redistributed * rows;
    layers[layer.layer].redistributed->Increment(moved);
    redistributed.Increment(moved);
  }
}

}  // namespace varserve::interventions
