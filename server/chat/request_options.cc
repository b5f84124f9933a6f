#include "server/chat/request_options.h"

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/status_macros.h"

namespace varserve::chat {
namespace {

using engine::VarMode;
using engine::VarVariant;

constexpr size_t kMaxStopBytes = 256;
constexpr uint32_t kMaxLogprobs = 20;

absl::Status CheckRange(absl::string_view field, double value, double low, double high,
                        bool open_low = false) {
  // Fields are floats: 0.01 of one is not that of a double.
  const double least = static_cast<float>(low);
  if (std::isfinite(value) && value <= high && (open_low ? value > least : value >= least))
    return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: %.10g is not in %s%g, %.10g]", field, value, open_low ? "(" : "[", low, high));
}

absl::StatusOr<VarMode> ModeOf(v1::VarMode mode) {
  switch (mode) {
    case v1::VAR_MODE_OFF:
      return VarMode::kOff;
    case v1::VAR_MODE_OBSERVE:
      return VarMode::kObserve;
    case v1::VAR_MODE_ON:
      return VarMode::kOn;
    default:
      return absl::InvalidArgumentError(absl::StrCat("mode: ", static_cast<int>(mode), " is no VarMode"));
  }
}

absl::StatusOr<float> RhoOf(v1::VarPreset preset) {
  switch (preset) {
    case v1::VAR_PRESET_GENERAL:
      return 0.8F;
    case v1::VAR_PRESET_HALLUCINATION:
      return 0.5F;
    case v1::VAR_PRESET_VISION_CENTRIC:
      return 0.9F;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("preset: ", static_cast<int>(preset), " is no VarPreset"));
  }
}

absl::string_view PresetName(const v1::VarOptions& o, v1::VarPreset preset) {
  if (o.variant() == v1::VAR_VARIANT_AUTHORS_CODE || o.has_tau() || o.has_rho() || o.has_p() ||
      o.has_min_visual_attention() || o.has_first_layer() || o.has_last_layer()) {
    return "custom";
  }
  return preset == v1::VAR_PRESET_GENERAL         ? "general"
         : preset == v1::VAR_PRESET_HALLUCINATION ? "hallucination"
                                                  : "vision_centric";
}

absl::StatusOr<int> LayerOf(absl::string_view field, uint32_t value, int num_layers) {
  RETURN_IF_ERROR(CheckRange(field, value, 0, num_layers - 1));
  return static_cast<int>(value);
}

}  // namespace

absl::StatusOr<SamplingRequest> ReadGenerateOptions(const v1::GenerateOptions& o, int vocabulary,
                                                    uint64_t random_seed) {
  SamplingRequest request;
  engine::SamplingParams& p = request.params;
  if (o.has_max_tokens()) {
    if (o.max_tokens() < 1) return absl::InvalidArgumentError("max_tokens: 0 is not at least 1");
    p.max_tokens = static_cast<int>(std::min<uint32_t>(o.max_tokens(), 1U << 30));
  }
  if (o.has_temperature()) {
    RETURN_IF_ERROR(CheckRange("temperature", o.temperature(), 0, 5));
    p.temperature = o.temperature();
  }
  if (o.has_top_p()) {
    RETURN_IF_ERROR(CheckRange("top_p", o.top_p(), 0, 1, /*open_low=*/true));
    p.top_p = o.top_p();
  }
  if (o.has_top_k()) {
    RETURN_IF_ERROR(CheckRange("top_k", o.top_k(), 0, vocabulary));
    p.top_k = static_cast<int>(o.top_k());
  }
  if (o.has_repetition_penalty()) {
    RETURN_IF_ERROR(CheckRange("repetition_penalty", o.repetition_penalty(), 0.01, 10));
    p.repetition_penalty = o.repetition_penalty();
  }
  if (o.has_logprobs()) {
    RETURN_IF_ERROR(CheckRange("logprobs", o.logprobs(), 0, kMaxLogprobs));
    p.logprobs = static_cast<int>(o.logprobs());
  }
  p.seed = o.has_seed() ? o.seed() : random_seed;
  p.ignore_eos = o.ignore_eos();
  RETURN_IF_ERROR(CheckRange("stop: their number", o.stop_size(), 0, kMaxStopStrings));
  for (int i = 0; i < o.stop_size(); ++i) {
    RETURN_IF_ERROR(CheckRange(absl::StrCat("stop[", i, "]: its size"), static_cast<double>(o.stop(i).size()),
                               1, static_cast<double>(kMaxStopBytes)));
    request.stop.push_back(o.stop(i));
  }
  return request;
}

absl::StatusOr<VarRequest> ReadVarOptions(const v1::VarOptions& o, const VarDefaults& defaults) {
  VarRequest request;
  engine::VarSettings& s = request.settings;
  const v1::VarMode mode = o.mode() == v1::VAR_MODE_UNSPECIFIED ? defaults.mode : o.mode();
  ASSIGN_OR_RETURN(s.mode, ModeOf(mode));
  if (o.variant() != v1::VAR_VARIANT_UNSPECIFIED && o.variant() != v1::VAR_VARIANT_PAPER &&
      o.variant() != v1::VAR_VARIANT_AUTHORS_CODE) {
    return absl::InvalidArgumentError(
        absl::StrCat("variant: ", static_cast<int>(o.variant()), " is no VarVariant"));
  }
  const bool authors_code = o.variant() == v1::VAR_VARIANT_AUTHORS_CODE;
  s.variant = authors_code ? VarVariant::kAuthorsCode : VarVariant::kPaper;
  if (s.measured() && !defaults.profile_tau.has_value()) {
    return absl::FailedPreconditionError(
        "mode: this model has no VAR profile, only OFF works; make one with varserve-calibrate --model "
        "DIR");
  }

  const v1::VarPreset preset = o.preset() == v1::VAR_PRESET_UNSPECIFIED ? defaults.preset : o.preset();
  ASSIGN_OR_RETURN(const float preset_rho, RhoOf(preset));
  s.tau = defaults.profile_tau.value_or(20.0F);
  s.rho = authors_code && o.preset() == v1::VAR_PRESET_UNSPECIFIED ? 0.5F : preset_rho;
  s.p = authors_code ? 0.4F : 0.6F;
  s.min_visual_attention = 0.2F;
  s.first_layer = authors_code ? std::min(2, defaults.num_layers - 1) : 0;
  s.last_layer = authors_code ? defaults.num_layers - 1 : std::max(0, defaults.num_layers - 2);
  if (o.has_tau()) {
    RETURN_IF_ERROR(CheckRange("tau", o.tau(), 0, 1000, /*open_low=*/true));
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
  if (o.has_first_layer()) {
    ASSIGN_OR_RETURN(s.first_layer, LayerOf("first_layer", o.first_layer(), defaults.num_layers));
  }
  if (o.has_last_layer()) {
    ASSIGN_OR_RETURN(s.last_layer, LayerOf("last_layer", o.last_layer(), defaults.num_layers));
  }
  if (s.first_layer > s.last_layer) {
    return absl::InvalidArgumentError(
        absl::StrCat("first_layer: ", s.first_layer, " is above last_layer ", s.last_layer));
  }

  if (o.detail() < v1::VAR_DETAIL_UNSPECIFIED || o.detail() > v1::VAR_DETAIL_MAPS) {
    return absl::InvalidArgumentError(
        absl::StrCat("detail: ", static_cast<int>(o.detail()), " is no VarDetail"));
  }
  request.detail = o.detail() == v1::VAR_DETAIL_UNSPECIFIED ? v1::VAR_DETAIL_LAYERS : o.detail();
  for (int i = 0; i < o.map_layers_size(); ++i) {
    ASSIGN_OR_RETURN(const int layer,
                     LayerOf(absl::StrCat("map_layers[", i, "]"), o.map_layers(i), defaults.num_layers));
    request.map_layers.push_back(layer);
  }
  std::sort(request.map_layers.begin(), request.map_layers.end());
  request.map_layers.erase(std::unique(request.map_layers.begin(), request.map_layers.end()),
                           request.map_layers.end());
  if (!s.measured() || request.detail != v1::VAR_DETAIL_MAPS) {
    request.map_layers.clear();
  } else if (request.map_layers.empty()) {
    for (int layer = s.first_layer; layer <= s.last_layer; ++layer) request.map_layers.push_back(layer);
  }

  request.preset = PresetName(o, preset);
  v1::VarOptions& e = request.effective;
  e.set_mode(mode);
  e.set_variant(authors_code ? v1::VAR_VARIANT_AUTHORS_CODE : v1::VAR_VARIANT_PAPER);
  e.set_preset(preset);
  e.set_tau(s.tau);
  e.set_rho(s.rho);
  e.set_p(s.p);
  e.set_min_visual_attention(s.min_visual_attention);
  e.set_first_layer(static_cast<uint32_t>(s.first_layer));
  e.set_last_layer(static_cast<uint32_t>(s.last_layer));
  e.set_detail(request.detail);
  for (const int layer : request.map_layers) e.add_map_layers(static_cast<uint32_t>(layer));
  return request;
}

}  // namespace varserve::chat
