// A row of explicit attention: the parameters that an intervention sets, and the sums that every backend
// returns. Plain data.
#pragma once

#include <cstdint>

namespace varserve::interventions {

// One row of attention: one query token, all heads. VAR applies if first_layer <= layer <= last_layer; the
// range is empty for a row that is not eligible or whose request has VAR off.
struct AttentionRow {
  int32_t sequence = 0;   // index of its sequence in the step
  int32_t num_slots = 0;  // attends to slots [0, num_slots)
  int32_t first_layer = 1;
  int32_t last_layer = 0;
  int32_t sink_slots = 0;  // only slots below this can be sinks
  int32_t map = -1;        // index of its map in the step, or -1
  float tau = 0.0F;        // sink: phi >= tau
  float rho = 0.0F;
  float p = 0.0F;  // 0: measure only
  float min_visual_attention = 0.0F;
  bool authors_code = false;  // use the authors' code's head test and plane of phi
};

// What VAR measured and changed in one row and layer: sums over heads.
struct RowSums {
  float image_centric_heads = 0.0F;
  float redistributed = 0.0F;
  float visual_before = 0.0F;
  float visual_after = 0.0F;
};
inline constexpr int kRowSums = sizeof(RowSums) / sizeof(float);  // number of values, as stored in tensors

}  // namespace varserve::interventions
