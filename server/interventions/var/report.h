// What VAR found and did in one request, computed from the evidence of its tokens. Meanings and units: see
// var.proto. Plain data.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/interventions/intervention.h"
#include "server/interventions/measurements.h"
#include "server/interventions/var/settings.h"

namespace varserve::interventions {

struct VarReport final : Report {
  struct Layer {
    int layer = 0;
    int visual_sinks = 0;
    int text_sinks = 0;
    AttentionShares shares;
  };
  struct VisualSink {
    int image = 0;
    bool in_thumbnail = false;  // row and col are those of the thumbnail's grid
    int row = 0;
    int col = 0;
    int layers = 0;
    float max_phi = 0.0F;
  };
  struct Row {  // one eligible token, mean over the VAR layers
    int position = 0;
    AttentionShares shares;
  };

  VarSettings settings;
  // One of kVarPresets, or kCustomPreset if the request sets a knob.
  absl::string_view preset = kVarPresets[0].name;
  int64_t eligible_rows = 0;
  double visual_sink_tokens = 0.0;  // mean over the VAR layers
  double text_sink_tokens = 0.0;
  AttentionShares totals;     // mean over eligible rows and VAR layers
  std::vector<Layer> layers;  // the VAR layers
  std::vector<VisualSink> visual_sinks;
  std::vector<Row> rows;
  std::vector<AttentionMap> maps;
};

std::unique_ptr<VarReport> MakeVarReport(const VarSettings& var, SequenceEvidence evidence);

}  // namespace varserve::interventions
