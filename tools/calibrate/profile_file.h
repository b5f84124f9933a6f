// The calibrated VAR profile as a file that a model directory can hold (server/model/var_profile.h), and all
// numbers as JSON for programs.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "tools/calibrate/calibration.h"

namespace varserve::calibrate {

// What var_profile.json holds; `decoder` names the decoder, `source` says what measured it.
nlohmann::ordered_json ProfileJson(const Calibration& calibration, const std::string& decoder,
                                   const std::string& source);

// Votes, layers and agreement.
nlohmann::ordered_json FindingsJson(const std::map<int32_t, double>& votes, const Calibration& calibration);

// Replaces the file whole or not at all. The message names the path.
absl::Status WriteProfile(const nlohmann::ordered_json& profile, const std::string& path);

}  // namespace varserve::calibrate
