#include "server/openai/model_names.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/chat/utf8_check.h"

namespace varserve::openai {
namespace {

using NamedIntervention = std::pair<std::string, v1::Intervention>;

void AddVar(const std::string& model_name, std::vector<NamedIntervention>& named) {
  v1::Intervention on;
  on.mutable_var()->set_mode(v1::VAR_MODE_ON);
  named.emplace_back(absl::StrCat(model_name, "+var"), on);
  const google::protobuf::EnumDescriptor& presets = *v1::VarPreset_descriptor();
  for (int i = 0; i < presets.value_count(); ++i) {
    const google::protobuf::EnumValueDescriptor& preset = *presets.value(i);
    if (preset.number() == v1::VAR_PRESET_UNSPECIFIED) continue;
    on.mutable_var()->set_preset(static_cast<v1::VarPreset>(preset.number()));
    const absl::string_view name = absl::StripPrefix(preset.name(), "VAR_PRESET_");
    named.emplace_back(absl::StrCat(model_name, "+var-", absl::AsciiStrToLower(name)), on);
  }
  v1::Intervention observe;
  observe.mutable_var()->set_mode(v1::VAR_MODE_OBSERVE);
  named.emplace_back(absl::StrCat(model_name, "+observe"), observe);
}

std::vector<NamedIntervention> Named(const v1::Model& model) {
  std::vector<NamedIntervention> named = {{model.name(), {}}};
  if (model.has_var_profile()) AddVar(model.name(), named);
  for (const v1::Intervention& available : model.interventions()) {
    if (available.has_var()) continue;
    const google::protobuf::Reflection& reflection = *available.GetReflection();
    std::vector<const google::protobuf::FieldDescriptor*> methods;  // one
    reflection.ListFields(available, &methods);
    for (const auto* method : methods) {
      v1::Intervention with_defaults;
      reflection.MutableMessage(&with_defaults, method);
      named.emplace_back(absl::StrCat(model.name(), "+", method->name()), with_defaults);
    }
  }
  return named;
}

// A name of a method that changes attention, and then that of a contrast: NAME+pai+vcd. Not listed.
std::optional<v1::Intervention> CombinedOf(absl::string_view name, const v1::Model& model,
                                           const std::vector<NamedIntervention>& named) {
  for (const auto& [method_name, method] : named) {
    absl::string_view rest = name;
    if (!absl::ConsumePrefix(&rest, method_name) || method.method_case() == v1::Intervention::METHOD_NOT_SET)
      continue;
    for (const auto& [contrast_name, contrast] : named) {
      if (contrast.contrast_case() == v1::Intervention::CONTRAST_NOT_SET ||
          absl::StrCat(model.name(), rest) != contrast_name)
        continue;
      v1::Intervention combined = method;
      combined.MergeFrom(contrast);
      return combined;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string NameProblem(absl::string_view name) {
  constexpr size_t kMostBytes = 256;
  if (name.empty()) return "is empty";
  if (name.size() > kMostBytes) return absl::StrCat("has ", name.size(), " bytes, more than ", kMostBytes);
  if (chat::Utf8Check check; !check.Add(name) || !check.Whole()) return "is not UTF-8";
  if (absl::StripAsciiWhitespace(name) != name) return "begins or ends with whitespace";
  for (size_t i = 0; i < name.size(); ++i) {
    const bool is_c1 = name[i] == '\xc2' && static_cast<unsigned char>(name[i + 1]) < 0xa0;
    if (absl::ascii_iscntrl(static_cast<unsigned char>(name[i])) || is_c1) return "has a control character";
  }
  for (const absl::string_view segment : absl::StrSplit(name, '/')) {
    // Clients resolve it before they send the URL.
    if (segment == "." || segment == "..")
      return absl::StrCat("has \"", segment, "\" as a segment of its path");
  }
  return "";
}

std::vector<std::string> NamesOf(const v1::Model& model) {
  std::vector<std::string> names;
  for (NamedIntervention& named : Named(model)) names.push_back(std::move(named.first));
  return names;
}

absl::StatusOr<v1::Intervention> InterventionOf(absl::string_view name, const v1::Model& model) {
  const std::vector<NamedIntervention> named = Named(model);
  for (const auto& [known, intervention] : named) {
    if (known == name) return intervention;
  }
  if (std::optional<v1::Intervention> combined = CombinedOf(name, model, named)) return *combined;
  return absl::NotFoundError(absl::StrCat(
      "model: \"", name.substr(0, 128), "\" is not served here; there is ",
      absl::StrJoin(NamesOf(model), ", "), ", and a contrast after a method that changes attention, such as ",
      model.name(), "+pai+vcd"));
}

}  // namespace varserve::openai
