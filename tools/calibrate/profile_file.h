// Writes the calibrated VAR profile as a file for a model directory (server/model/var_profile.h), and all
// numbers as JSON for programs.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "tools/calibrate/calibration.h"

namespace varserve::calibrate {

// Content of var_profile.json. `decoder` is the decoder's name, `source` the tool that measured it.
nlohmann::ordered_json ProfileJson(const Calibration& calibration, const std::string& decoder,
                                   const std::string& source);

// Votes, layers and agreement.
nlohmann::ordered_json FindingsJson(const std::map<int32_t, double>& votes, const Calibration& calibration);

// Replaces the file atomically. Error messages name the path.
absl::Status WriteProfile(const nlohmann::ordered_json& profile, const std::string& path);

}  // namespace varserve::calibrate
