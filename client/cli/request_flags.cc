#include "client/cli/request_flags.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/cli/message_fields.h"

namespace varserve::cli {
namespace {

absl::Status Invalid(absl::string_view flag, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", problem));
}

// The first field that is set, other than the mode; empty if none is.
std::string FirstField(const v1::VarOptions& options) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  options.GetReflection()->ListFields(options, &fields);
  for (const google::protobuf::FieldDescriptor* field : fields) {
    if (field->number() != v1::VarOptions::kModeFieldNumber) return field->name();
  }
  return "";
}

}  // namespace

GenerateFlags::GenerateFlags(CLI::App& app) {
  const auto add = [&](const std::string& field, const std::string& help) {
    AddFieldFlag(app, options_, field, help)->group("Generation");
  };
  add("max_tokens", "Maximum number of tokens to generate. Default: 256");
  add("temperature", "Sampling temperature, 0 (greedy) to 5. Default: 0");
  add("top_p", "Sample from the most probable tokens whose probabilities add up to this. Default: 1 (all)");
  add("top_k", "Sample from this many of the most probable tokens. Default: 0 (all)");
  add("seed", "Seed for sampling; the same seed gives the same answer. Default: random");
  add("repetition_penalty", "Penalty on tokens that have already occurred, 0.01 to 10. Default: 1 (none)");
  add("stop", "Stop before this text. Can be given up to 8 times");
  add("logprobs", "Print the log-probability of each token and of this many alternatives");
  add("ignore_eos", "Continue past the end of the answer, up to --max-tokens");
}

VarFlags::VarFlags(CLI::App& app, Mode mode) : mode_(mode) {
  const auto add = [&](const std::string& field, const std::string& help, const std::string& flag = "") {
    AddFieldFlag(app, options_, field, help, flag)->group("Visual Attention Redistribution");
  };
  if (mode == Mode::kFlag) {
    add("mode",
        "observe: measure sinks and attention; on: also redistribute attention. Default: the server's",
        "--var");
  }
  add("variant", "As in the paper, or as in its authors' code. Default: paper");
  add("preset", "rho for a kind of task: 0.8, 0.5, 0.9. Default: the server's");
  add("tau", "A token is a sink if its phi is at least this. Default: the model's");
  add("rho",
      "Minimum share of visual attention on non-sinks in an image-centric head. Default: the preset's");
  add("p", "Share of the sinks' attention that is moved. Default: 0.6");
  add("min_visual_attention", "Minimum visual attention of an image-centric head. Default: 0.2");
  add("first_layer", "First decoder layer to change or measure, counted from 0. Default: 0");
  add("last_layer", "Last decoder layer to change or measure. Default: the second to last");
  if (mode == Mode::kFixed) return;
  add("detail", "Evidence in the reply; maps needs --json. Default: layers");
  add("map_layers",
      "Layers averaged in the maps of --detail maps. Can be given several times. Default: those measured");
}

absl::Status VarFlags::Check(bool json) const {
  if (mode_ == Mode::kFixed) return absl::OkStatus();
  const std::string field = FirstField(options_);
  const std::string flag = absl::StrCat("--", absl::StrReplaceAll(field, {{"_", "-"}}));
  if (!field.empty() && options_.mode() == v1::VAR_MODE_OFF)
    return Invalid(flag, "has no effect with --var off; use --var observe or --var on");
  if (!field.empty() && options_.mode() == v1::VAR_MODE_UNSPECIFIED) {
    return Invalid(flag, "needs --var observe or --var on; the server's default, often off, would ignore it");
  }
  if (options_.map_layers_size() > 0 && options_.detail() != v1::VAR_DETAIL_MAPS)
    return Invalid("--map-layers", "has no effect without maps; add --detail maps");
  if (options_.detail() == v1::VAR_DETAIL_MAPS && !json)
    return Invalid("--detail", "maps are printed only with --json; add it");
  return absl::OkStatus();
}

absl::StatusOr<v1::VarOptions> ParseVarSetting(absl::string_view text, bool json, bool verbose) {
  const std::string flag = absl::StrCat("--setting ", text);
  v1::VarOptions options;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(item, absl::MaxSplits('=', 1));
    const bool mode = !absl::StrContains(item, '=');
    absl::Status status = mode ? SetField("mode", item, options) : SetField(pair.first, pair.second, options);
    if (!status.ok()) return Invalid(flag, status.message());
  }
  if (options.mode() == v1::VAR_MODE_UNSPECIFIED)
    return Invalid(flag, "has no mode; begin with off, observe or on");
  const std::string field = FirstField(options);
  if (!field.empty() && options.mode() == v1::VAR_MODE_OFF)
    return Invalid(flag, absl::StrCat(field, " has no effect with off; use observe or on"));
  const v1::VarDetail detail = options.detail();
  if (options.map_layers_size() > 0 && detail != v1::VAR_DETAIL_MAPS)
    return Invalid(flag, "map_layers has no effect without maps; add detail=maps");
  if (detail == v1::VAR_DETAIL_MAPS && !json)
    return Invalid(flag, "maps are printed only with --json; add it");
  if (detail == v1::VAR_DETAIL_TOKENS && !json && !verbose)
    return Invalid(flag, "tokens are printed only with --verbose or --json; add one");
  return options;
}

}  // namespace varserve::cli
