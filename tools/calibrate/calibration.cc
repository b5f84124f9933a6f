#include "tools/calibrate/calibration.h"

#include <algorithm>

namespace varserve::calibrate {
namespace {

void Add(const LayerObservation& observation, float tau, LayerSummary& layer) {
  for (const TokenObservation& token : observation.tokens) {
    const bool sink = token.phi >= tau;
    layer.agreement.attended += token.attention.high() ? 1 : 0;
    if (!sink) {
      layer.largest_other_phi = std::max(layer.largest_other_phi, token.phi);
      continue;
    }
    (token.visual ? layer.visual_sinks : layer.text_sinks) += 1;
    layer.attention_on_sinks += token.attention.share;
    layer.smallest_sink_phi =
        layer.smallest_sink_phi == 0.0F ? token.phi : std::min(layer.smallest_sink_phi, token.phi);
    // Attention on a sink with too few tokens after it is unknown.
    if (token.attention.even_share == 0.0F) continue;
    ++layer.agreement.sinks;
    layer.agreement.both += token.attention.high() ? 1 : 0;
  }
}

}  // namespace

std::optional<Calibration> Summarize(const std::vector<int32_t>& sink_dimensions, int num_layers,
                                     int num_prompts, absl::Span<const LayerObservation> observations) {
  std::vector<Gap> gaps;
  for (const LayerObservation& observation : observations) {
    if (!observation.sink.has_value()) continue;
    std::vector<float> phi;
    for (const TokenObservation& token : observation.tokens) phi.push_back(token.phi);
    if (const std::optional<Gap> gap = FindGap(phi, *observation.sink)) gaps.push_back(*gap);
  }
  const std::optional<Threshold> threshold = ChooseThreshold(gaps);
  if (!threshold.has_value()) return std::nullopt;

  Calibration result{.sink_dimensions = sink_dimensions, .threshold = *threshold, .num_prompts = num_prompts};
  result.layers.resize(num_layers);
  for (int l = 0; l < num_layers; ++l) result.layers[l].layer = l;
  for (const LayerObservation& observation : observations) {
    Add(observation, threshold->tau, result.layers[observation.layer]);
  }
  result.first_layer = num_layers;
  for (LayerSummary& layer : result.layers) {
    layer.visual_sinks /= num_prompts;
    layer.text_sinks /= num_prompts;
    layer.attention_on_sinks /= num_prompts;
    if (layer.smallest_sink_phi == 0.0F) continue;
    result.first_layer = std::min(result.first_layer, layer.layer);
    result.last_layer = layer.layer;
    result.agreement.sinks += layer.agreement.sinks;
    result.agreement.attended += layer.agreement.attended;
    result.agreement.both += layer.agreement.both;
  }
  return result;
}

}  // namespace varserve::calibrate
