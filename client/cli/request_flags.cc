#include "client/cli/request_flags.h"

#include <google/protobuf/descriptor.h>

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/cli/message_fields.h"

namespace varserve::cli {

GenerateFlags::GenerateFlags(CLI::App& app) {
  const auto add = [&](const std::string& field, const std::string& help) {
    AddFieldFlag(app, options_, field, help)->group("Generation");
  };
  add("max_tokens", "Maximum length of the answer in tokens. Default: 256");
  add("temperature", "Randomness, 0 to 5; 0 takes the most probable token each time. Default: 0");
  add("top_p", "Sample from the most probable tokens that together reach this probability. Default: 1, all");
  add("top_k", "Sample from this many most probable tokens. Default: 0, all");
  add("seed", "Seed of the sampling; the same seed gives the same answer. Default: random");
  add("repetition_penalty", "Penalty on tokens that occurred before, 0.01 to 10. Default: 1, none");
  add("stop", "End the answer before this text. Can be given up to 8 times");
  add("logprobs", "Show the log-probability of each token and of this many alternatives");
  add("ignore_eos", "Continue after the end of the answer, up to --max-tokens");
}

VarFlags::VarFlags(CLI::App& app, Mode mode) {
  const auto add = [&](const std::string& field, const std::string& help, const std::string& flag = "") {
    AddFieldFlag(app, options_, field, help, flag)->group("Visual Attention Redistribution");
  };
  if (mode == Mode::kFlag) {
    add("mode", "Redistribute attention (on), only measure it (observe), or neither. Default: the server's",
        "--var");
  }
  add("variant", "Compute VAR as in the paper, or as in its authors' code. Default: paper");
  add("preset", "Set rho by the kind of task: 0.8, 0.5 or 0.9. Default: the server's");
  add("tau", "Threshold: a token is a sink if its phi is at least this. Default: the model's");
  add("rho",
      "Threshold: a head is image-centric if at least this share of its visual attention is on non-sinks. "
      "Default: the preset's");
  add("p", "Share of the sinks' attention that is moved. Default: 0.6");
  add("min_visual_attention", "Minimum visual attention of an image-centric head. Default: 0.2");
  add("first_layer", "First decoder layer to change or measure, counted from 0. Default: 0");
  add("last_layer", "Last decoder layer to change or measure. Default: the last but one");
  if (mode == Mode::kOn) return;
  add("detail", "Evidence to show; maps need --json. Default: layers");
  add("map_layers", "Layers that the maps average. Can be given several times. Default: all");
}

namespace {

// VAR that is not on changes nothing, and the command itself chooses the evidence.
absl::Status CheckChanges(const v1::Intervention& intervention) {
  if (intervention.has_var() && intervention.var().mode() != v1::VAR_MODE_ON)
    return absl::InvalidArgumentError("mode: VAR must be on");
  std::vector<const google::protobuf::FieldDescriptor*> methods;
  const google::protobuf::Reflection& reflection = *intervention.GetReflection();
  reflection.ListFields(intervention, &methods);
  for (const google::protobuf::FieldDescriptor* method : methods) {
    const google::protobuf::Message& options = reflection.GetMessage(intervention, method);
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    options.GetReflection()->ListFields(options, &fields);
    for (const google::protobuf::FieldDescriptor* field : fields) {
      if (field->name() == "detail" || field->name() == "map_layers")
        return absl::InvalidArgumentError(
            absl::StrCat(field->name(), ": has no effect here; the command shows all there is"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status VarFlags::Check(bool json) const {
  const absl::Status status = CheckEffect(options_, json);
  if (status.ok()) return status;
  const std::pair<std::string, absl::string_view> field =
      absl::StrSplit(status.message(), absl::MaxSplits(':', 1));
  return absl::InvalidArgumentError(
      absl::StrCat("--", absl::StrReplaceAll(field.first, {{"_", "-"}}), ":", field.second));
}

InterventionFlags::InterventionFlags(CLI::App& app, VarFlags::Mode mode) : mode_(mode), var_(app, mode) {
  app.add_option("--intervention", other_,
                 absl::StrCat("Another method than VAR (", OtherMethods(),
                              "), then fields of its options: pai,alpha=0.3; a contrast (", ContrastMethods(),
                              ") may follow after a plus: on,rho=0.5+vcd"))
      ->type_name("METHOD,KEY=VALUE,...")
      ->group("Other interventions");
}

absl::Status InterventionFlags::Read(bool json) {
  if (!other_.empty()) return ReadOther();
  if (mode_ == VarFlags::Mode::kFlag) return var_.Check(json);
  *intervention_.mutable_var() = var_.options();
  intervention_.mutable_var()->set_mode(v1::VAR_MODE_ON);
  return absl::OkStatus();
}

absl::Status InterventionFlags::ReadOther() {
  if (var_.options().ByteSizeLong() > 0)
    return absl::InvalidArgumentError(
        "--intervention: cannot be combined with --var and its fields; give one of them");
  absl::StatusOr<v1::Intervention> intervention = ParseSetting(other_);
  absl::Status status = intervention.status();
  if (status.ok() && mode_ == VarFlags::Mode::kOn) status = CheckChanges(*intervention);
  if (!status.ok())
    return absl::InvalidArgumentError(absl::StrCat("--intervention ", other_, ": ", status.message()));
  intervention_ = *std::move(intervention);
  return absl::OkStatus();
}

absl::Status CheckEffect(const v1::VarOptions& options, bool json) {
  const auto invalid = [](absl::string_view field, absl::string_view problem) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": ", problem));
  };
  if (options.mode() == v1::VAR_MODE_OFF) {
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    v1::VarOptions::GetReflection()->ListFields(options, &fields);
    for (const google::protobuf::FieldDescriptor* field : fields) {
      if (field->number() != v1::VarOptions::kModeFieldNumber)
        return invalid(field->name(), "has no effect where VAR is off");
    }
  }
  if (options.detail() != v1::VAR_DETAIL_MAPS) {
    return options.map_layers().empty() ? absl::OkStatus()
                                        : invalid("map_layers", "has no effect unless detail is maps");
  }
  return json ? absl::OkStatus()
              : invalid("detail", "maps need --json; varserve explain draws them on a page");
}

std::string ContrastMethods() {
  std::vector<std::string> names;
  const google::protobuf::OneofDescriptor& contrasts =
      *v1::Intervention::descriptor()->FindOneofByName("contrast");
  for (int i = 0; i < contrasts.field_count(); ++i) names.push_back(contrasts.field(i)->name());
  return absl::StrJoin(names, ", ");
}

std::string OtherMethods() {
  std::vector<std::string> names;
  const google::protobuf::Descriptor& methods = *v1::Intervention::descriptor();
  for (int i = 0; i < methods.field_count(); ++i) {
    if (methods.field(i)->number() != v1::Intervention::kVarFieldNumber)
      names.push_back(methods.field(i)->name());
  }
  return absl::StrJoin(names, ", ");
}

namespace {

absl::StatusOr<v1::Intervention> ParseMethod(absl::string_view text) {
  v1::Intervention intervention;
  const std::vector<absl::string_view> items = absl::StrSplit(text, ',');
  const auto* method = v1::Intervention::descriptor()->FindFieldByName(std::string(items.front()));
  v1::VarOptions mode;
  if (method == nullptr && !absl::StrContains(items.front(), '=') &&
      !SetField("mode", items.front(), mode).ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", items.front(), "\" is not one of off, observe, on, ", OtherMethods()));
  }
  if (method == nullptr || method->number() == v1::Intervention::kVarFieldNumber) {
    absl::StatusOr<v1::VarOptions> var = ParseVarSetting(text);
    if (!var.ok()) return var.status();
    *intervention.mutable_var() = *std::move(var);
    return intervention;
  }
  google::protobuf::Message& options = *intervention.GetReflection()->MutableMessage(&intervention, method);
  for (size_t i = 1; i < items.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(items[i], absl::MaxSplits('=', 1));
    if (absl::Status status = SetField(pair.first, pair.second, options); !status.ok()) return status;
  }
  return intervention;
}

}  // namespace

absl::StatusOr<v1::Intervention> ParseSetting(absl::string_view text) {
  // A number may have a plus, but not before a letter.
  size_t plus = text.find('+');
  while (plus != absl::string_view::npos &&
         (plus + 1 == text.size() || !absl::ascii_isalpha(static_cast<unsigned char>(text[plus + 1]))))
    plus = text.find('+', plus + 1);
  absl::StatusOr<v1::Intervention> intervention = ParseMethod(text.substr(0, plus));
  if (!intervention.ok() || plus == absl::string_view::npos) return intervention;
  absl::StatusOr<v1::Intervention> contrast = ParseMethod(text.substr(plus + 1));
  if (!contrast.ok()) return contrast;
  if (contrast->contrast_case() == v1::Intervention::CONTRAST_NOT_SET ||
      intervention->contrast_case() != v1::Intervention::CONTRAST_NOT_SET) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a plus joins a method that changes attention and, after it, a contrast (", ContrastMethods(), ")"));
  }
  intervention->MergeFrom(*contrast);
  return intervention;
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
