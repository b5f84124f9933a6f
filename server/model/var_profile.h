// Which hidden dimensions make a token a sink in a decoder (D_sink) and from which phi on (tau); see
// docs/var.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/model/model_config.h"

namespace varserve::model {

struct VarProfile {
  std::vector<int32_t> sink_dimensions;  // each in [0, hidden_size)
  float tau = 20.0F;
  std::string source;   // where it comes from, for people
  std::string decoder;  // what it was made for
};

// What --sink_dimensions and --tau of the command line say.
struct VarProfileOverride {
  std::vector<int32_t> sink_dimensions;  // empty: not given
  std::optional<float> tau;
};

// The profile in use: the command line's, else MODEL_DIR/var_profile.json ({"sink_dimensions": [...], "tau":
// ..., "decoder", "source"}), else the published one of a decoder of this shape; none if there is none.
// INVALID_ARGUMENT where a dimension does not exist.
absl::StatusOr<std::optional<VarProfile>> FindVarProfile(const std::string& model_dir,
                                                         const DecoderConfig& config,
                                                         const VarProfileOverride& flags);

// The published one of a decoder of this shape.
std::optional<VarProfile> PublishedVarProfile(const DecoderConfig& config);

}  // namespace varserve::model
