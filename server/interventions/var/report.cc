#include "server/interventions/var/report.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server/base/visual_tokens.h"
#include "server/interventions/shares_mean.h"
#include "server/interventions/var/tokens.h"

namespace varserve::interventions {
namespace {

// Adds the token at `position` to the sinks of the report's layers.
void CountSinks(const SequenceEvidence& evidence, int position, const SinkRule& rule, VarReport& report) {
  const Prompt& prompt = evidence.prompt;
  const std::optional<VisualToken> visual = FindVisualToken(prompt, position);
  const float* phi =
      evidence.tokens[position].measures + ptrdiff_t{rule.phi_plane} * evidence.num_layers;  // [layers]
  VarReport::VisualSink sink;
  for (VarReport::Layer& layer : report.layers) {
    if (!rule.IsSink(prompt, position, phi[layer.layer])) continue;
    ++(visual ? layer.visual_sinks : layer.text_sinks);
    ++sink.layers;
    sink.max_phi = std::max(sink.max_phi, phi[layer.layer]);
  }
  if (!visual || sink.layers == 0) return;
  const ImageLayout& layout = *prompt.spans[visual->image].layout;
  int cell = layout.cells[visual->index];
  if (cell < 0) return;  // a class token has no place in the image
  sink.image = visual->image;
  sink.in_thumbnail = cell >= layout.num_grid_cells();
  if (sink.in_thumbnail) cell -= layout.num_grid_cells();
  const int cols = sink.in_thumbnail ? layout.thumbnail_cols : layout.cols;
  sink.row = cell / cols;
  sink.col = cell % cols;
  report.visual_sinks.push_back(sink);
}

}  // namespace

std::unique_ptr<VarReport> MakeVarReport(const VarSettings& var, SequenceEvidence evidence) {
  auto made = std::make_unique<VarReport>();
  VarReport& report = *made;
  report.settings = var;
  const SinkRule rule(var);
  SharesMean total_mean;
  std::vector<SharesMean> layer_means(var.last_layer - var.first_layer + 1);
  for (int layer = var.first_layer; layer <= var.last_layer; ++layer)
    report.layers.emplace_back().layer = layer;

  for (int position = 0; position < static_cast<int>(evidence.tokens.size()); ++position) {
    CountSinks(evidence, position, rule, report);
    if (!IsEligible(evidence.prompt, position)) continue;
    SharesMean row_mean;
    for (size_t i = 0; i < layer_means.size(); ++i) {
      const AttentionShares& shares = evidence.tokens[position].shares[report.layers[i].layer];
      row_mean.Add(shares);
      layer_means[i].Add(shares);
      total_mean.Add(shares);
    }
    report.rows.push_back({.position = position, .shares = row_mean.Get()});
  }

  report.eligible_rows = static_cast<int64_t>(report.rows.size());
  report.totals = total_mean.Get();
  for (size_t i = 0; i < layer_means.size(); ++i) {
    VarReport::Layer& layer = report.layers[i];
    layer.shares = layer_means[i].Get();
    report.visual_sink_tokens += layer.visual_sinks;
    report.text_sink_tokens += layer.text_sinks;
  }
  report.visual_sink_tokens /= static_cast<double>(layer_means.size());
  report.text_sink_tokens /= static_cast<double>(layer_means.size());
  report.maps = std::move(evidence.maps);
  return made;
}

}  // namespace varserve::interventions
