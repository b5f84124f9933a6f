// Validates the VarOptions of a request and adds defaults. Errors are INVALID_ARGUMENT beginning with the
// name of a field, or FAILED_PRECONDITION if the model has no VAR profile.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/interventions/var/settings.h"
#include "varserve/v1/var.pb.h"

namespace varserve::interventions {

// What the model and the server's flags determine for VAR.
struct VarDefaults {
  Mode mode = Mode::kOff;
  VarPreset preset = VarPreset::kGeneral;
  std::optional<float> profile_tau;  // nullopt: the model has no VAR profile
  int num_layers = 0;
};

struct VarRequest {
  VarSettings settings;
  v1::VarDetail detail = v1::VAR_DETAIL_LAYERS;
  std::vector<int> map_layers;  // not empty if and only if the detail is MAPS and the mode is not OFF
  v1::VarOptions effective;     // the same values, with every field set
  absl::string_view preset;     // see VarReport
};

absl::StatusOr<VarRequest> ReadVarOptions(const v1::VarOptions& options, const VarDefaults& defaults);

}  // namespace varserve::interventions
