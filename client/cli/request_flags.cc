#include "client/cli/request_flags.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "client/cli/message_fields.h"

namespace varserve::cli {

GenerateFlags::GenerateFlags(CLI::App& app) {
  const auto add = [&](const std::string& field, const std::string& help) {
    AddFieldFlag(app, options_, field, help)->group("Generation");
  };
  add("max_tokens", "Most tokens to generate. Default: 256");
  add("temperature", "0 is greedy, up to 5. Default: 0");
  add("top_p", "Sample from the most probable tokens that together reach it. Default: 1, all");
  add("top_k", "Sample from this many most probable tokens. Default: 0, all");
  add("seed", "Same seed, same answer. Default: random");
  add("repetition_penalty", "Of tokens already there, 0.01 to 10. Default: 1, none");
  add("stop", "End before this text. May be given 8 times");
  add("logprobs", "Log-probabilities of each token and of this many alternatives");
  add("ignore_eos", "Go on after the end of the answer, up to --max-tokens");
}

VarFlags::VarFlags(CLI::App& app, Mode mode) {
  CLI::Option* var = nullptr;
  const auto add = [&](const std::string& field, const std::string& help) {
    CLI::Option* option = AddFieldFlag(app, options_, field, help)->group("Visual Attention Redistribution");
    if (var != nullptr)
      option->needs(var);  // otherwise the server's default mode, often off, would ignore them
  };
  if (mode == Mode::kFlag) {
    var = AddFieldFlag(app, options_, "mode",
                       "Measure sinks and attention, or redistribute it. Default: the server's", "--var")
              ->group("Visual Attention Redistribution");
  }
  add("variant", "As the paper says or as its authors' code does. Default: paper");
  add("preset", "rho by kind of task: 0.8, 0.5, 0.9. Default: the server's");
  add("tau", "A token is a sink from this phi on. Default: the model's");
  add("rho", "Least share on tokens that are no sinks of an image-centric head. Default: the preset's");
  add("p", "Share of the sinks' attention that is moved. Default: 0.6");
  add("min_visual_attention", "Least visual attention of an image-centric head. Default: 0.2");
  add("first_layer", "First decoder layer, counted from 0. Default: 0");
  add("last_layer", "Last decoder layer. Default: the last but one");
  if (mode == Mode::kFixed) return;
  add("detail", "How much evidence the reply carries; maps are seen with --json. Default: layers");
  add("map_layers", "Layers averaged in the maps. May be given several times. Default: all");
}

absl::StatusOr<v1::VarOptions> ParseVarSetting(absl::string_view text) {
  v1::VarOptions options;
  for (const absl::string_view item : absl::StrSplit(text, ',')) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(item, absl::MaxSplits('=', 1));
    const bool mode = !absl::StrContains(item, '=');
    absl::Status status = mode ? SetField("mode", item, options) : SetField(pair.first, pair.second, options);
    if (!status.ok()) return status;
  }
  return options;
}

}  // namespace varserve::cli
