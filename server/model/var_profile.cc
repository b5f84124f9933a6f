#include "server/model/var_profile.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/json_fields.h"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"

namespace varserve::model {
namespace {

constexpr char kFile[] = "var_profile.json";

// What is wrong with the profile of a decoder of this width; empty if nothing is.
std::string Problem(const std::vector<int64_t>& sink_dimensions, double tau, int width) {
  if (sink_dimensions.empty()) return "sink_dimensions: is empty";
  for (const int64_t d : sink_dimensions) {
    if (d < 0 || d >= width) {
      return absl::StrCat("sink_dimensions: ", d, " is not in [0, ", width - 1, "], the decoder's width");
    }
  }
  return tau > 0.0 ? "" : "tau: is not greater than 0";
}

absl::StatusOr<std::optional<VarProfile>> FromDirectory(const std::string& model_dir, int width) {
  const absl::StatusOr<nlohmann::json> parsed = ReadModelJson(model_dir, kFile);
  if (absl::IsNotFound(parsed.status())) return std::optional<VarProfile>();
  RETURN_IF_ERROR(parsed.status());
  JsonFields fields(*parsed, kFile);
  VarProfile profile;
  const std::vector<int64_t> sink_dimensions = fields.Ints("sink_dimensions", {});
  profile.tau = static_cast<float>(fields.Number("tau", interventions::kPaperTau, 0.0, 1e6));
  profile.source = absl::StrCat("model directory: ", fields.String("source", kFile));
  profile.decoder = fields.String("decoder", "");
  RETURN_IF_ERROR(fields.status());
  if (const std::string problem = Problem(sink_dimensions, profile.tau, width); !problem.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(kFile, ": ", problem));
  }
  profile.sink_dimensions.assign(sink_dimensions.begin(), sink_dimensions.end());
  return std::optional<VarProfile>(std::move(profile));
}

}  // namespace

const std::vector<PublishedDecoder>& PublishedDecoders() {
  static const std::string paper = "paper (arXiv 2503.03321) and its authors' code";
  // It gives sink dimensions only; tau is the paper's.
  static const std::string look_twice = "sink dimensions: \"Look Twice\"; tau: arXiv 2503.03321";
  static const std::string qwen2_7b =
      "those of Qwen2-VL-7B, whose decoder was made of this one (arXiv 2503.03321)";
  static const std::string massive =
      "sink dimensions: \"Massive Activations\" (arXiv 2402.17762); tau: arXiv 2503.03321";
  static const std::vector<PublishedDecoder> decoders = {
      {"llama", 4096, 32, 32, 32, 11008, 32000, {{1415, 2533}, 20.0F, paper, "Llama-2-7B / Vicuna-7B"}},
      {"llama", 5120, 40, 40, 40, 13824, 32000, {{2100, 4743}, 20.0F, paper, "Llama-2-13B / Vicuna-13B"}},
      {"mistral", 4096, 32, 32, 8, 14336, 32000, {{2070}, 20.0F, massive, "Mistral-7B"}},
      {"llama", 576, 30, 9, 3, 1536, 49152, {{507}, 22.0F, "measured for this project", "SmolLM2-135M"}},
      {"qwen2", 3584, 28, 28, 4, 18944, 151936, {{458, 2570}, 20.0F, qwen2_7b, "Qwen2-7B"}},
      {"llama", 4096, 32, 32, 8, 14336, 92544, {{3584}, 20.0F, paper, "InternVL2-8B"}},
      {"qwen2_vl_text", 3584, 28, 28, 4, 18944, 152064, {{458, 2570}, 20.0F, paper, "Qwen2-VL-7B"}},
      {"qwen2_vl_text", 1536, 28, 12, 2, 8960, 151936, {{534, 940, 1073}, 20.0F, look_twice, "Qwen2-VL-2B"}},
      {"qwen2_5_vl_text", 3584, 28, 28, 4, 18944, 152064, {{458, 2570}, 20.0F, look_twice, "Qwen2.5-VL-7B"}},
      {"qwen2_5_vl_text",
       2048,
       36,
       16,
       2,
       11008,
       151936,
       {{318, 1819, 1874}, 20.0F, look_twice, "Qwen2.5-VL-3B"}},
      {"qwen3_vl_text", 4096, 36, 32, 8, 12288, 151936, {{1838}, 20.0F, look_twice, "Qwen3-VL-8B"}},
      {"qwen3_vl_text", 2560, 36, 32, 8, 9728, 151936, {{0}, 20.0F, look_twice, "Qwen3-VL-4B"}},
      {"qwen3_vl_text",
       2048,
       28,
       16,
       8,
       6144,
       151936,
       {{1401, 1793, 1999}, 20.0F, look_twice, "Qwen3-VL-2B"}},
      {"qwen3", 4096, 36, 32, 8, 12288, 151936, {{233, 2276}, 20.0F, look_twice, "InternVL3.5-8B"}},
      {"qwen3", 2560, 36, 32, 8, 9728, 151936, {{0, 4, 396}, 20.0F, look_twice, "InternVL3.5-4B"}},
      {"qwen3", 1024, 28, 16, 8, 3072, 151936, {{13, 35}, 20.0F, look_twice, "InternVL3.5-1B"}},
  };
  return decoders;
}

bool PublishedDecoder::Is(const DecoderConfig& c) const {
  return model_type == c.model_type && hidden_size == c.hidden_size &&
         num_hidden_layers == c.num_hidden_layers && num_attention_heads == c.num_attention_heads &&
         num_key_value_heads == c.num_key_value_heads && intermediate_size == c.intermediate_size &&
         vocab_size <= c.vocab_size && c.vocab_size <= vocab_size + kMaxAddedTokens;
}

std::optional<VarProfile> PublishedVarProfile(const DecoderConfig& config) {
  for (const PublishedDecoder& decoder : PublishedDecoders()) {
    if (decoder.Is(config)) return decoder.profile;
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
      return absl::InvalidArgumentError("--tau: this model has no VAR profile; give --sink_dimensions, too");
    }
    profile->tau = *flags.tau;
    if (flags.sink_dimensions.empty()) absl::StrAppend(&profile->source, ", tau from flag --tau");
  }
  if (!profile.has_value()) return profile;
  const std::vector<int64_t> dimensions(profile->sink_dimensions.begin(), profile->sink_dimensions.end());
  if (const std::string problem = Problem(dimensions, profile->tau, config.hidden_size); !problem.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--", problem));
  }
  return profile;
}

}  // namespace varserve::model
