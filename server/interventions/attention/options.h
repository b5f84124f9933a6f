// What PAI, VAF and SPIN have in common in reading their options. Thread-safe.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "server/interventions/attention_row.h"
#include "server/interventions/setting/layer_options.h"
#include "varserve/v1/intervention.pb.h"

namespace varserve::interventions {

// What the model determines.
struct AttentionDefaults {
  int num_layers = 0;
  int num_heads = 0;
};

// Sets what is effective.
template <typename Options>
void SetLayers(const AttentionRow& row, Options& effective) {
  effective.set_first_layer(static_cast<uint32_t>(row.first_layer));
  effective.set_last_layer(static_cast<uint32_t>(row.last_layer));
}

// The layers that maps of this detail are the mean of: all that are changed.
inline std::vector<int> MapLayers(v1::VarDetail detail, const AttentionRow& row) {
  if (detail != v1::VAR_DETAIL_MAPS) return {};
  std::vector<int> layers(row.last_layer - row.first_layer + 1);
  std::iota(layers.begin(), layers.end(), row.first_layer);
  return layers;
}

}  // namespace varserve::interventions
