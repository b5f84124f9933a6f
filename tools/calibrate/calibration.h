// What a calibration found: the VAR profile, and how well phi and attention agree about which tokens are
// sinks. Pure arithmetic on plain numbers. Thread-compatible.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "tools/calibrate/sink_search.h"

namespace varserve::calibrate {

// A token that gets this many times its even share of attention gets high attention.
inline constexpr float kHighAttention = 3.0F;

// What a token of a prompt gets of the attention of the text tokens after it.
struct ReceivedAttention {
  float share = 0.0F;       // mean over these tokens and all heads; 0 where too few tokens follow
  float even_share = 0.0F;  // what it would be if they attended to all tokens alike
  bool high() const { return share > 0.0F && share >= kHighAttention * even_share; }
};

struct TokenObservation {
  float phi = 0.0F;
  ReceivedAttention attention;
  bool visual = false;
};

// One layer of one prompt.
struct LayerObservation {
  int layer = 0;
  std::vector<TokenObservation> tokens;
  std::optional<float> sink;  // largest phi of the tokens that voted for a sink dimension, if any did
};

// Sinks by phi against tokens with high attention.
struct Agreement {
  int64_t sinks = 0;
  int64_t attended = 0;
  int64_t both = 0;

  double precision() const {
    return sinks == 0 ? 0.0 : static_cast<double>(both) / static_cast<double>(sinks);
  }
  double recall() const {
    return attended == 0 ? 0.0 : static_cast<double>(both) / static_cast<double>(attended);
  }
};

// Means per prompt, and extremes over all prompts.
struct LayerSummary {
  int layer = 0;
  double visual_sinks = 0.0;
  double text_sinks = 0.0;
  double attention_on_sinks = 0.0;  // share of the attention of the text tokens after them
  float largest_other_phi = 0.0F;
  float smallest_sink_phi = 0.0F;  // 0 where there is no sink
  Agreement agreement;
};

struct Calibration {
  std::vector<int32_t> sink_dimensions;
  Threshold threshold;
  std::vector<LayerSummary> layers;
  Agreement agreement;  // over the layers with sinks
  int first_layer = 0;  // with sinks
  int last_layer = 0;
  int num_prompts = 0;
};

// None if phi of these dimensions separates no tokens from the others.
std::optional<Calibration> Summarize(const std::vector<int32_t>& sink_dimensions, int num_layers,
                                     int num_prompts, absl::Span<const LayerObservation> observations);

}  // namespace varserve::calibrate
