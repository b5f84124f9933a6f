// The result of a calibration: the VAR profile, and how well phi and attention agree on which tokens are
// sinks. Pure arithmetic on plain numbers. Thread-compatible.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "tools/calibrate/sink_search.h"

namespace varserve::calibrate {

// A token has high attention if it gets at least this many times its even share.
inline constexpr float kHighAttention = 3.0F;

// Attention that a token of a prompt gets from the text tokens after it.
struct ReceivedAttention {
  float share = 0.0F;       // mean over these tokens and all heads; 0 if too few tokens follow
  float even_share = 0.0F;  // the same if they attended to all tokens equally
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

// Agreement of sinks found by phi with tokens of high attention.
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

// Means over prompts, and extremes over all prompts.
struct LayerSummary {
  int layer = 0;
  double visual_sinks = 0.0;
  double text_sinks = 0.0;
  double attention_on_sinks = 0.0;  // share of the attention of the text tokens that follow
  float largest_other_phi = 0.0F;
  float smallest_sink_phi = 0.0F;  // 0 if there is no sink
  Agreement agreement;
};

struct Calibration {
  std::vector<int32_t> sink_dimensions;
  Threshold threshold;
  std::vector<LayerSummary> layers;
  Agreement agreement;  // over the layers with sinks
  int first_layer = 0;  // layers with sinks
  int last_layer = 0;
  int num_prompts = 0;
};

// nullopt if phi of these dimensions does not separate any tokens from the others.
std::optional<Calibration> Summarize(const std::vector<int32_t>& sink_dimensions, int num_layers,
                                     int num_prompts, absl::Span<const LayerObservation> observations);

}  // namespace varserve::calibrate
