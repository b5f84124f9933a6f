// Made-up observations of a model of which every layer from the second on has the same sinks.
#pragma once

#include <vector>

#include "tools/calibrate/calibration.h"

namespace varserve::calibrate {

inline constexpr int kLayers = 4;
inline constexpr int kPrompts = 2;

// Tokens of every prompt: a text sink with high attention, two visual sinks, one of them with high attention,
// an attended token that is no sink, and one with too few tokens after it.
inline std::vector<LayerObservation> MakeObservations() {
  constexpr ReceivedAttention kHigh{.share = 0.3F, .even_share = 0.05F};
  constexpr ReceivedAttention kLow{.share = 0.05F, .even_share = 0.05F};
  std::vector<LayerObservation> observations;
  for (int prompt = 0; prompt < kPrompts; ++prompt) {
    for (int l = 0; l < kLayers; ++l) {
      LayerObservation o{.layer = l};
      const float sink = l == 0 ? 2.0F : 30.0F;
      o.tokens = {{.phi = sink, .attention = kHigh, .visual = false},
                  {.phi = sink + 1, .attention = kHigh, .visual = true},
                  {.phi = sink + 2, .attention = kLow, .visual = true},
                  {.phi = 5.0F, .attention = kHigh, .visual = false},
                  {.phi = 1.0F, .attention = kLow, .visual = true},
                  {.phi = 3.0F, .attention = {}, .visual = false}};
      if (l > 0) o.sink = sink;
      observations.push_back(std::move(o));
    }
  }
  return observations;
}

inline Calibration MakeCalibration() { return *Summarize({7, 11}, kLayers, kPrompts, MakeObservations()); }

}  // namespace varserve::calibrate
