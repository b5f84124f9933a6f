#include "server/openai/model_names.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace varserve::openai {
namespace {

using NamedSetting = std::pair<std::string, v1::VarOptions>;

std::vector<NamedSetting> Settings(const v1::Model& model) {
  std::vector<NamedSetting> settings = {{model.name(), {}}};
  if (!model.has_var_profile()) return settings;
  v1::VarOptions on;
  on.set_mode(v1::VAR_MODE_ON);
  settings.emplace_back(absl::StrCat(model.name(), "+var"), on);
  const google::protobuf::EnumDescriptor& presets = *v1::VarPreset_descriptor();
  for (int i = 0; i < presets.value_count(); ++i) {
    const google::protobuf::EnumValueDescriptor& preset = *presets.value(i);
    if (preset.number() == v1::VAR_PRESET_UNSPECIFIED) continue;
    on.set_preset(static_cast<v1::VarPreset>(preset.number()));
    const absl::string_view name = absl::StripPrefix(preset.name(), "VAR_PRESET_");
    settings.emplace_back(absl::StrCat(model.name(), "+var-", absl::AsciiStrToLower(name)), on);
  }
  v1::VarOptions observe;
  observe.set_mode(v1::VAR_MODE_OBSERVE);
  settings.emplace_back(absl::StrCat(model.name(), "+observe"), observe);
  return settings;
}

}  // namespace

std::vector<std::string> NamesOf(const v1::Model& model) {
  std::vector<std::string> names;
  for (NamedSetting& setting : Settings(model)) names.push_back(std::move(setting.first));
  return names;
}

absl::StatusOr<v1::VarOptions> SettingOf(absl::string_view name, const v1::Model& model) {
  for (const auto& [known, setting] : Settings(model)) {
    if (known == name) return setting;
  }
  return absl::NotFoundError(absl::StrCat("model: \"", name.substr(0, 128),
                                          "\" is not served here; there is ",
                                          absl::StrJoin(NamesOf(model), ", ")));
}

}  // namespace varserve::openai
