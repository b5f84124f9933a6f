// The fields that the options of PAI, VAF and SPIN have in common: layers and detail. Errors are
// INVALID_ARGUMENT beginning with the name of a field. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/field_range.h"
#include "server/base/status_macros.h"
#include "server/interventions/attention_row.h"
#include "varserve/v1/intervention.pb.h"

namespace varserve::interventions {

// What the model and its backend determine.
struct AttentionDefaults {
  int num_layers = 0;
  int num_heads = 0;
  std::array<bool, kRowChanges> supported = {};  // by the backend, indexed by RowChange
};

// `row` has the defaults.
template <typename Options>
absl::Status ReadLayers(const Options& options, int num_layers, AttentionRow& row) {
  if (options.has_first_layer()) {
    RETURN_IF_ERROR(CheckRange("first_layer", options.first_layer(), 0, num_layers - 1));
    row.first_layer = static_cast<int32_t>(options.first_layer());
  }
  if (options.has_last_layer()) {
    RETURN_IF_ERROR(CheckRange("last_layer", options.last_layer(), 0, num_layers - 1));
    row.last_layer = static_cast<int32_t>(options.last_layer());
  }
  if (row.first_layer <= row.last_layer) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("first_layer: ", row.first_layer, " is above last_layer ", row.last_layer));
}

// Sets what is effective.
template <typename Options>
void SetLayers(const AttentionRow& row, Options& effective) {
  effective.set_first_layer(static_cast<uint32_t>(row.first_layer));
  effective.set_last_layer(static_cast<uint32_t>(row.last_layer));
}

// Sets what is effective.
template <typename Options>
absl::Status ReadDetail(const Options& options, Options& effective) {
  if (options.detail() < v1::VAR_DETAIL_UNSPECIFIED || options.detail() > v1::VAR_DETAIL_MAPS) {
    return absl::InvalidArgumentError(
        absl::StrCat("detail: ", static_cast<int>(options.detail()), " is not a VarDetail"));
  }
  effective.set_detail(options.detail() == v1::VAR_DETAIL_UNSPECIFIED ? v1::VAR_DETAIL_LAYERS
                                                                      : options.detail());
  return absl::OkStatus();
}

// The layers that maps of this detail are the mean of: all that are changed.
inline std::vector<int> MapLayers(v1::VarDetail detail, const AttentionRow& row) {
  if (detail != v1::VAR_DETAIL_MAPS) return {};
  std::vector<int> layers(row.last_layer - row.first_layer + 1);
  std::iota(layers.begin(), layers.end(), row.first_layer);
  return layers;
}

}  // namespace varserve::interventions
