#include "tools/calibrate/profile_file.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace varserve::calibrate {
namespace {

double Rounded(double value) { return std::round(value * 1000.0) / 1000.0; }

}  // namespace

nlohmann::ordered_json ProfileJson(const Calibration& calibration, const std::string& decoder,
                                   const std::string& source) {
  return {
      {"decoder", decoder},
      {"sink_dimensions", calibration.sink_dimensions},
      {"tau", Rounded(calibration.threshold.tau)},
      {"source", source},
      {"layers", {calibration.first_layer, calibration.last_layer}},
      {"tau_range", {Rounded(calibration.threshold.range.low), Rounded(calibration.threshold.range.high)}},
      {"precision", Rounded(calibration.agreement.precision())},
      {"recall", Rounded(calibration.agreement.recall())}};
}

nlohmann::ordered_json FindingsJson(const std::map<int32_t, double>& votes, const Calibration& calibration) {
  nlohmann::ordered_json by_dimension = nlohmann::ordered_json::object();
  for (const auto& [dimension, share] : votes) by_dimension[std::to_string(dimension)] = Rounded(share);
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const LayerSummary& layer : calibration.layers) {
    layers.push_back({{"layer", layer.layer},
                      {"visual_sinks", Rounded(layer.visual_sinks)},
                      {"text_sinks", Rounded(layer.text_sinks)},
                      {"attention_on_sinks", Rounded(layer.attention_on_sinks)},
                      {"largest_other_phi", Rounded(layer.largest_other_phi)},
                      {"smallest_sink_phi", Rounded(layer.smallest_sink_phi)},
                      {"sinks", layer.agreement.sinks},
                      {"attended", layer.agreement.attended},
                      {"both", layer.agreement.both}});
  }
  return {{"votes", by_dimension},
          {"prompts", calibration.num_prompts},
          {"gaps_with_tau", Rounded(calibration.threshold.agreed)},
          {"layers", layers}};
}

absl::Status WriteProfile(const nlohmann::ordered_json& profile, const std::string& path) {
  const std::string scratch = absl::StrCat(path, ".new");
  std::ofstream file(scratch);
  file << profile.dump(1) << "\n";
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(scratch, path, error);
  if (!file || error) {
    std::filesystem::remove(scratch, error);
    return absl::PermissionDeniedError(
        absl::StrCat("--out: ", path, " cannot be written; name a file in a folder of yours"));
  }
  return absl::OkStatus();
}

}  // namespace varserve::calibrate
