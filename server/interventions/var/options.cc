#include "server/interventions/var/options.h"

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/field_range.h"
#include "server/base/status_macros.h"
#include "server/interventions/setting/layer_options.h"

namespace varserve::interventions {
namespace {

// The API's enumerators are ours plus UNSPECIFIED at 0. `type` is the API's name.
template <typename Ours, typename Theirs>
absl::StatusOr<Ours> Read(absl::string_view field, absl::string_view type, Theirs value, Ours unspecified,
                          Ours last) {
  const int number = static_cast<int>(value);
  if (number == 0) return unspecified;
  if (number < 0 || number > static_cast<int>(last) + 1) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": ", number, " is not a ", type));
  }
  return static_cast<Ours>(number - 1);
}

template <typename Theirs, typename Ours>
Theirs ToProto(Ours value) {
  return static_cast<Theirs>(static_cast<int>(value) + 1);
}
static_assert(v1::VAR_MODE_OFF == static_cast<int>(Mode::kOff) + 1);
static_assert(v1::VAR_MODE_ON == static_cast<int>(Mode::kOn) + 1);
static_assert(v1::VAR_VARIANT_AUTHORS_CODE == static_cast<int>(VarVariant::kAuthorsCode) + 1);
static_assert(v1::VAR_PRESET_VISION_CENTRIC == static_cast<int>(VarPreset::kVisionCentric) + 1);

absl::string_view PresetName(const v1::VarOptions& o, VarPreset preset) {
  if (o.variant() == v1::VAR_VARIANT_AUTHORS_CODE || o.has_tau() || o.has_rho() || o.has_p() ||
      o.has_min_visual_attention() || o.has_first_layer() || o.has_last_layer()) {
    return kCustomPreset;
  }
  return kVarPresets[static_cast<size_t>(preset)].name;
}

// Applies the fields that the request sets to the defaults in `s`.
absl::Status ReadKnobs(const v1::VarOptions& o, int num_layers, VarSettings& s) {
  if (o.has_tau()) {
    RETURN_IF_ERROR(CheckRange("tau", o.tau(), 0, kMostTau, /*open_low=*/true));
    s.tau = o.tau();
  }
  if (o.has_rho()) {
    RETURN_IF_ERROR(CheckRange("rho", o.rho(), 0, 1));
    s.rho = o.rho();
  }
  if (o.has_p()) {
    RETURN_IF_ERROR(CheckRange("p", o.p(), 0, 1));
    s.p = o.p();
  }
  if (o.has_min_visual_attention()) {
    RETURN_IF_ERROR(CheckRange("min_visual_attention", o.min_visual_attention(), 0, 1));
    s.min_visual_attention = o.min_visual_attention();
  }
  return ReadLayers(o, num_layers, s.first_layer, s.last_layer);
}

absl::Status ReadEvidenceFields(const v1::VarOptions& o, int num_layers, VarRequest& request) {
  ASSIGN_OR_RETURN(request.detail, ReadDetail(o.detail()));
  std::vector<int>& layers = request.map_layers;
  for (int i = 0; i < o.map_layers_size(); ++i) {
    RETURN_IF_ERROR(CheckRange(absl::StrCat("map_layers[", i, "]"), o.map_layers(i), 0, num_layers - 1));
    layers.push_back(static_cast<int>(o.map_layers(i)));
  }
  std::sort(layers.begin(), layers.end());
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  const VarSettings& s = request.settings;
  if (!s.measured() || request.detail != v1::VAR_DETAIL_MAPS) {
    layers.clear();
  } else if (layers.empty()) {
    for (int layer = s.first_layer; layer <= s.last_layer; ++layer) layers.push_back(layer);
  }
  return absl::OkStatus();
}

bool HasFields(const v1::VarOptions& o) {
  std::vector<const google::protobuf::FieldDescriptor*> fields;
  o.GetReflection()->ListFields(o, &fields);
  return !fields.empty();
}

v1::VarOptions EffectiveOptions(const VarRequest& request, VarPreset preset) {
  const VarSettings& s = request.settings;
  v1::VarOptions e;
  e.set_mode(ToProto<v1::VarMode>(s.mode));
  e.set_variant(ToProto<v1::VarVariant>(s.variant));
  e.set_preset(ToProto<v1::VarPreset>(preset));
  e.set_tau(s.tau);
  e.set_rho(s.rho);
  e.set_p(s.p);
  e.set_min_visual_attention(s.min_visual_attention);
  e.set_first_layer(static_cast<uint32_t>(s.first_layer));
  e.set_last_layer(static_cast<uint32_t>(s.last_layer));
  e.set_detail(request.detail);
  for (const int layer : request.map_layers) e.add_map_layers(static_cast<uint32_t>(layer));
  return e;
}

}  // namespace

absl::StatusOr<VarRequest> ReadVarOptions(const v1::VarOptions& o, const VarDefaults& defaults) {
  VarRequest request;
  VarSettings& s = request.settings;
  ASSIGN_OR_RETURN(const Mode mode, Read("mode", "VarMode", o.mode(), defaults.mode, Mode::kOn));
  if (o.mode() == v1::VAR_MODE_UNSPECIFIED && mode == Mode::kOff && HasFields(o)) {
    return absl::InvalidArgumentError(
        "mode: is not set, and off is this server's default, so the other fields would have no effect; "
        "set it to on, observe or off");
  }
  ASSIGN_OR_RETURN(const VarVariant variant,
                   Read("variant", "VarVariant", o.variant(), VarVariant::kPaper, VarVariant::kAuthorsCode));
  if (mode != Mode::kOff && !defaults.profile_tau.has_value()) {
    return absl::FailedPreconditionError(
        "mode: this model has no VAR profile, only OFF works; make one with varserve-calibrate --model "
        "DIR");
  }
  ASSIGN_OR_RETURN(const VarPreset preset,
                   Read("preset", "VarPreset", o.preset(), defaults.preset, VarPreset::kVisionCentric));
  s = DefaultVarSettings(variant, defaults.num_layers);
  s.mode = mode;
  s.tau = defaults.profile_tau.value_or(s.tau);
  // The authors' code has its own rho.
  if (variant == VarVariant::kPaper || o.preset() != v1::VAR_PRESET_UNSPECIFIED) {
    s.rho = kVarPresets[static_cast<size_t>(preset)].rho;
  }
  RETURN_IF_ERROR(ReadKnobs(o, defaults.num_layers, s));
  RETURN_IF_ERROR(ReadEvidenceFields(o, defaults.num_layers, request));
  request.preset = PresetName(o, preset);
  request.effective = EffectiveOptions(request, preset);
  return request;
}

}  // namespace varserve::interventions
