// The hidden dimensions that make a token a sink in a decoder (D_sink), and the phi from which on it is one
// (tau); see docs/var.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/interventions/var/settings.h"
#include "server/model/decoder_config.h"

namespace varserve::model {

struct VarProfile {
  std::vector<int32_t> sink_dimensions;  // each in [0, hidden_size)
  float tau = interventions::kPaperTau;
  std::string source;   // its origin, for people
  std::string decoder;  // the decoder it was made for
};

// --sink_dimensions and --tau.
struct VarProfileOverride {
  std::vector<int32_t> sink_dimensions;  // empty: not given
  std::optional<float> tau;
};

// The profile in use: the command line's, else MODEL_DIR/var_profile.json ({"sink_dimensions": [...], "tau":
// ..., "decoder", "source"}), else the published one of this decoder; none if there is none. INVALID_ARGUMENT
// or FAILED_PRECONDITION, for flags and file, if a dimension does not exist.
absl::StatusOr<std::optional<VarProfile>> FindVarProfile(const std::string& model_dir,
                                                         const DecoderConfig& config,
                                                         const VarProfileOverride& flags);

// The published one of this decoder.
std::optional<VarProfile> PublishedVarProfile(const DecoderConfig& config);

// A decoder with published sink dimensions, recognised by its type, shape and vocabulary.
struct PublishedDecoder {
  static constexpr int kMaxAddedTokens = 256;

  const char* model_type;
  int hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads, intermediate_size;
  int vocab_size;  // its own; LLaVA adds some tokens and pads, up to kMaxAddedTokens
  VarProfile profile;

  bool Is(const DecoderConfig& config) const;
};
const std::vector<PublishedDecoder>& PublishedDecoders();

}  // namespace varserve::model
