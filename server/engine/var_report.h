// What VAR found and did in one request, as the engine adds it up; rpc/ turns it into varserve.v1.VarReport,
// whose comments give meanings and units. Plain data.
#pragma once

#include <cstdint>
#include <vector>

#include "server/engine/var_settings.h"

namespace varserve::engine {

// Of one eligible row and one layer, or means of many: sums over heads divided by the number of heads.
struct AttentionShares {
  float image_centric_heads = 0.0F;  // share of heads that passed the test
  float redistributed = 0.0F;        // Omega that was moved
  float visual_before = 0.0F;
  float visual_after = 0.0F;
};

struct VarReport {
  struct Layer {
    int layer = 0;
    int visual_sinks = 0;
    int text_sinks = 0;
    AttentionShares shares;
  };
  struct VisualSink {
    int image = 0;
    int row = 0;
    int col = 0;
    int layers = 0;
    float max_phi = 0.0F;
  };
  struct Row {  // one eligible token, mean over the VAR layers
    int position = 0;
    AttentionShares shares;
  };
  struct Map {
    int position = 0;
    std::vector<float> before;  // [visual tokens of the prompt, in order]
    std::vector<float> after;
  };

  VarSettings settings;
  int64_t eligible_rows = 0;
  double visual_sink_tokens = 0.0;  // mean over the VAR layers
  double text_sink_tokens = 0.0;
  AttentionShares totals;     // mean over eligible rows and VAR layers
  std::vector<Layer> layers;  // the VAR layers
  std::vector<VisualSink> visual_sinks;
  std::vector<Row> rows;
  std::vector<Map> maps;
};

}  // namespace varserve::engine
