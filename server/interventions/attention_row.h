// A row of explicit attention: the parameters that an intervention sets, and the sums that every backend
// returns. Plain data.
#pragma once

#include <cstdint>

namespace varserve::interventions {

// What is changed in a row. A new kind is a case of each backend's attention.
enum class RowChange : uint8_t {
  kRedistribute,   // attention, after softmax (VAR)
  kReweigh,        // scores, before softmax (PAI, VAF)
  kSuppressHeads,  // outputs of the heads that look at the picture least (SPIN)
};
inline constexpr int kRowChanges = 3;

// One row of attention: one query token, all heads. It is changed if first_layer <= layer <= last_layer; the
// range is empty for a row that no intervention acts on.
struct AttentionRow {
  int32_t sequence = 0;   // index of its sequence in the step
  int32_t num_slots = 0;  // attends to slots [0, num_slots)
  int32_t first_layer = 1;
  int32_t last_layer = 0;
  int32_t map = -1;  // index of its map in the step, or -1
  RowChange change = RowChange::kRedistribute;

  // kRedistribute: docs/var.md
  int32_t sink_slots = 0;  // only slots below this can be sinks
  float tau = 0.0F;        // sink: phi >= tau
  float rho = 0.0F;
  float p = 0.0F;  // 0: measure only
  float min_visual_attention = 0.0F;
  bool authors_code = false;  // use the authors' code's head test and plane of phi

  // kReweigh: a score s becomes visual_scale s + visual_boost |s| on visual tokens, and text_scale s in slots
  // [0, text_slots), which hold the text before the first image.
  int32_t text_slots = 0;
  float visual_scale = 1.0F;
  float visual_boost = 0.0F;
  float text_scale = 1.0F;

  // kSuppressHeads: outputs of all heads but the kept_heads with the largest sum of scores on visual tokens
  // are multiplied by suppressed_gain. Of equal heads, the first is kept.
  int32_t kept_heads = 0;
  float suppressed_gain = 1.0F;

  bool changes(RowChange kind, int layer) const {
    return change == kind && first_layer <= layer && layer <= last_layer;
  }
};

// What was measured and changed in one row and layer: sums over heads.
struct RowSums {
  float changed_heads = 0.0F;  // that passed the test of the row's change; kReweigh has none, so all
  float redistributed = 0.0F;  // attention moved by kRedistribute
  float visual_before = 0.0F;
  float visual_after = 0.0F;  // with kSuppressHeads, a head counts by its gain
};
inline constexpr int kRowSums = sizeof(RowSums) / sizeof(float);  // number of values, as stored in tensors

}  // namespace varserve::interventions
