#include "server/openai/model_names.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

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
  const google::protobuf::OneofDescriptor& methods = *v1::Intervention::descriptor()->oneof_decl(0);
  for (const v1::Intervention& available : model.interventions()) {
    if (available.has_var()) continue;
    const google::protobuf::Reflection& reflection = *available.GetReflection();
    const auto* method = reflection.GetOneofFieldDescriptor(available, &methods);
    v1::Intervention with_defaults;
    reflection.MutableMessage(&with_defaults, method);
    named.emplace_back(absl::StrCat(model.name(), "+", method->name()), with_defaults);
  }
  return named;
}

}  // namespace

std::vector<std::string> NamesOf(const v1::Model& model) {
  std::vector<std::string> names;
  for (NamedIntervention& named : Named(model)) names.push_back(std::move(named.first));
  return names;
}

absl::StatusOr<v1::Intervention> InterventionOf(absl::string_view name, const v1::Model& model) {
  for (const auto& [known, intervention] : Named(model)) {
    if (known == name) return intervention;
  }
  return absl::NotFoundError(absl::StrCat("model: \"", name.substr(0, 128),
                                          "\" is not served here; there is ",
                                          absl::StrJoin(NamesOf(model), ", ")));
}

}  // namespace varserve::openai
