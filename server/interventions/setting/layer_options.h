// Fields that the options of every intervention have: layers and detail. Errors are INVALID_ARGUMENT
// beginning with the name of a field. Thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/base/field_range.h"
#include "server/base/status_macros.h"
#include "varserve/v1/var.pb.h"

namespace varserve::interventions {

// The layers have the defaults.
template <typename Options>
absl::Status ReadLayers(const Options& options, int num_layers, int32_t& first_layer, int32_t& last_layer) {
  if (options.has_first_layer()) {
    RETURN_IF_ERROR(CheckRange("first_layer", options.first_layer(), 0, num_layers - 1));
    first_layer = static_cast<int32_t>(options.first_layer());
  }
  if (options.has_last_layer()) {
    RETURN_IF_ERROR(CheckRange("last_layer", options.last_layer(), 0, num_layers - 1));
    last_layer = static_cast<int32_t>(options.last_layer());
  }
  if (first_layer <= last_layer) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("first_layer: ", first_layer, " is above last_layer ", last_layer));
}

// What is effective.
inline absl::StatusOr<v1::VarDetail> ReadDetail(v1::VarDetail detail) {
  if (detail < v1::VAR_DETAIL_UNSPECIFIED || detail > v1::VAR_DETAIL_MAPS) {
    return absl::InvalidArgumentError(
        absl::StrCat("detail: ", static_cast<int>(detail), " is not a VarDetail"));
  }
  return detail == v1::VAR_DETAIL_UNSPECIFIED ? v1::VAR_DETAIL_LAYERS : detail;
}

}  // namespace varserve::interventions
