#include "server/model/var_profile.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/model/json_fields.h"

namespace varserve::model {
namespace {

struct Published {
  const char* decoder;
  int hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads, intermediate_size;
  std::vector<int32_t> sink_dimensions;
  float tau;
  const char* source;
};

// Decoders with published sink dimensions. Where no threshold is published, 20 (the paper's) is taken and
// said to be so.
const std::vector<Published>& PublishedProfiles() {
  static constexpr char kPaper[] = "paper (arXiv 2503.03321) and its authors' code";
  static constexpr char kMassive[] = "Massive Activations (arXiv 2402.17762); tau not published, calibrate";
  static constexpr char kLookTwice[] = "Look Twice; tau not published, calibrate";
  static const std::vector<Published> profiles = {
      {"Llama-2-7B / Vicuna-7B", 4096, 32, 32, 32, 11008, {1415, 2533}, 20.0F, kPaper},
      {"Llama-2-13B / Vicuna-13B", 5120, 40, 40, 40, 13824, {2100, 4743}, 20.0F, kPaper},
      {"Mistral-7B", 4096, 32, 32, 8, 14336, {2070}, 20.0F, kMassive},
      {"Qwen2-VL-7B / Qwen2.5-VL-7B",
       3584,
       28,
       28,
       4,
       18944,
       {458, 2570},
       20.0F,
       "paper (arXiv 2503.03321); Look Twice"},
      {"Qwen2-VL-2B", 1536, 28, 12, 2, 8960, {534, 940, 1073}, 20.0F, kLookTwice},
      {"Qwen2.5-VL-3B", 2048, 36, 16, 2, 11008, {318, 1819, 1874}, 20.0F, kLookTwice},
      {"InternVL2-8B", 4096, 32, 32, 8, 14336, {3584}, 20.0F, "paper (arXiv 2503.03321)"},
      {"SmolLM2-135M", 576, 30, 9, 3, 1536, {507}, 22.0F, "measured for this project"},
  };
  return profiles;
}

absl::Status Check(const VarProfile& profile, const std::string& where, int width) {
  if (profile.sink_dimensions.empty())
    return absl::InvalidArgumentError(absl::StrCat(where, ": sink_dimensions is empty"));
  for (const int32_t d : profile.sink_dimensions) {
    if (d < 0 || d >= width) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": sink_dimensions: ", d, " is not in [0, ",
                                                     width - 1, "], the decoder's width"));
    }
  }
  if (!(profile.tau > 0.0F))
    return absl::InvalidArgumentError(absl::StrCat(where, ": tau is not greater than 0"));
  return absl::OkStatus();
}

absl::StatusOr<std::optional<VarProfile>> FromDirectory(const std::string& model_dir, int width) {
  const std::string path = absl::StrCat(model_dir, "/var_profile.json");
  const absl::StatusOr<nlohmann::json> parsed = ReadJsonFile(path);
  if (absl::IsNotFound(parsed.status())) return std::optional<VarProfile>();
  RETURN_IF_ERROR(parsed.status());
  JsonFields fields(*parsed, path);
  VarProfile profile;
  for (const int64_t d : fields.Ints("sink_dimensions", {}))
    profile.sink_dimensions.push_back(static_cast<int32_t>(d));
  profile.tau = static_cast<float>(fields.Double("tau", 20.0, 0.0, 1e6));
  profile.source = absl::StrCat("model directory: ", fields.String("source", "var_profile.json"));
  profile.decoder = fields.String("decoder", "");
  RETURN_IF_ERROR(fields.status());
  RETURN_IF_ERROR(Check(profile, path, width));
  return std::optional<VarProfile>(std::move(profile));
}

}  // namespace

std::optional<VarProfile> PublishedVarProfile(const DecoderConfig& c) {
  for (const Published& p : PublishedProfiles()) {
    if (p.hidden_size == c.hidden_size && p.num_hidden_layers == c.num_hidden_layers &&
        p.num_attention_heads == c.num_attention_heads && p.num_key_value_heads == c.num_key_value_heads &&
        p.intermediate_size == c.intermediate_size) {
      return VarProfile{p.sink_dimensions, p.tau, p.source, p.decoder};
    }
  }
  return std::nullopt;
}

absl::StatusOr<std::optional<VarProfile>> FindVarProfile(const std::string& model_dir,
                                                         const DecoderConfig& config,
                                                         const VarProfileOverride& flags) {
  ASSIGN_OR_RETURN(std::optional<VarProfile> profile, FromDirectory(model_dir, config.hidden_size));
  if (!profile.has_value()) profile = PublishedVarProfile(config);
  if (!flags.sink_dimensions.empty()) {
    if (!profile.has_value()) profile.emplace();
    profile->sink_dimensions = flags.sink_dimensions;
    profile->source = "flag --sink_dimensions";
  }
  if (flags.tau.has_value()) {
    if (!profile.has_value()) {
      return absl::InvalidArgumentError("tau: this model has no VAR profile; give --sink_dimensions too");
    }
    profile->tau = *flags.tau;
    if (flags.sink_dimensions.empty()) absl::StrAppend(&profile->source, ", tau from flag --tau");
  }
  if (profile.has_value()) RETURN_IF_ERROR(Check(*profile, "VAR profile", config.hidden_size));
  return profile;
}

}  // namespace varserve::model
