#include "client/explain/explanation.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace varserve::client {
namespace {

constexpr uint32_t kMaxBands = 6;

bool Ignore(const v1::CompareResponse& /*response*/) { return true; }

v1::CompareRequest Compare(const ExplainRequest& request) {
  v1::CompareRequest compare;
  *compare.mutable_request()->mutable_options() = request.generate;
  v1::Message& message = *compare.mutable_request()->add_messages();
  message.set_role(v1::ROLE_USER);
  message.add_parts()->mutable_image()->set_data(request.image);
  message.add_parts()->set_text(request.question);
  return compare;
}

struct Layers {
  uint32_t first;
  uint32_t last;
};

// Those whose attention the setting changes; none of a contrast alone.
std::optional<Layers> LayersOf(const v1::Intervention& setting) {
  const auto layers = [](const auto& options) {
    return Layers{.first = options.first_layer(), .last = options.last_layer()};
  };
  switch (setting.method_case()) {
    case v1::Intervention::kVar:
      return layers(setting.var());
    case v1::Intervention::kPai:
      return layers(setting.pai());
    case v1::Intervention::kVaf:
      return layers(setting.vaf());
    case v1::Intervention::kSpin:
      return layers(setting.spin());
    case v1::Intervention::METHOD_NOT_SET:
      return std::nullopt;
  }
  return std::nullopt;
}

// With as much evidence as the method has up to `detail`.
v1::Intervention WithDetail(const v1::Intervention& setting, v1::VarDetail detail) {
  v1::Intervention detailed = setting;
  if (detailed.has_var()) {
    detailed.mutable_var()->set_detail(detail);
    detailed.mutable_var()->clear_map_layers();
  }
  if (detailed.has_pai()) detailed.mutable_pai()->set_detail(detail);
  if (detailed.has_vaf()) detailed.mutable_vaf()->set_detail(detail);
  if (detailed.has_spin()) detailed.mutable_spin()->set_detail(std::min(detail, v1::VAR_DETAIL_LAYERS));
  return detailed;
}

v1::Intervention Shown(const v1::Intervention& asked) {
  v1::Intervention shown = asked;
  if (shown.contrast_case() != v1::Intervention::CONTRAST_NOT_SET) {
    if (shown.has_var() && shown.var().mode() != v1::VAR_MODE_ON) shown.clear_var();
  } else if (shown.has_var() || shown.method_case() == v1::Intervention::METHOD_NOT_SET) {
    shown.mutable_var()->set_mode(v1::VAR_MODE_ON);
  }
  return shown;
}

// What the server makes of the options. Also brings the picture into its prefix cache.
absl::StatusOr<v1::Intervention> EffectiveSetting(InferenceClient& client, const CallOptions& options,
                                                  const ExplainRequest& request) {
  v1::CompareRequest compare = Compare(request);
  compare.mutable_request()->mutable_options()->set_max_tokens(1);
  *compare.add_interventions() = WithDetail(Shown(request.intervention), v1::VAR_DETAIL_NONE);
  v1::Intervention effective;
  const auto finished = client.Compare(compare, options, [&](const v1::CompareResponse& response) {
    if (response.response().has_started()) effective = response.response().started().intervention();
    return true;
  });
  if (!finished.ok()) return finished.status();
  if (effective.ByteSizeLong() == 0)
    return absl::FailedPreconditionError(
        "started.intervention: the server is older than this client; update it");
  return effective;
}

// For VAR, whose maps can be those of some layers, also of parts of the layers.
std::vector<Explanation::Band> BandsOf(const v1::Intervention& setting, uint32_t max_bands) {
  const std::optional<Layers> layers = LayersOf(setting);
  if (!layers.has_value() || setting.has_spin()) return {};
  std::vector<Explanation::Band> bands = SplitLayers(layers->first, layers->last, 1);
  if (!setting.has_var() || max_bands < 2) return bands;
  for (Explanation::Band& band : SplitLayers(layers->first, layers->last, std::min(kMaxBands, max_bands - 1)))
    bands.push_back(std::move(band));
  return bands;
}

absl::Status AskAnswers(InferenceClient& client, const CallOptions& options, const ExplainRequest& request,
                        Explanation& explanation) {
  constexpr uint32_t kOn = 1;  // the setting's index; then one for each further band
  explanation.bands = BandsOf(explanation.setting, explanation.model.limits().max_settings() - kOn);
  v1::CompareRequest compare = Compare(request);
  compare.add_interventions()->mutable_var()->set_mode(v1::VAR_MODE_OFF);
  if (explanation.bands.empty())
    *compare.add_interventions() = WithDetail(explanation.setting, v1::VAR_DETAIL_LAYERS);
  for (const Explanation::Band& band : explanation.bands) {
    v1::Intervention& setting = *compare.add_interventions();
    setting = WithDetail(explanation.setting, v1::VAR_DETAIL_MAPS);
    if (!setting.has_var()) continue;
    for (uint32_t layer = band.first_layer; layer <= band.last_layer; ++layer)
      setting.mutable_var()->add_map_layers(layer);
  }
  auto finished = client.Compare(compare, options, [&](const v1::CompareResponse& response) {
    if (response.setting() != kOn) return true;
    if (response.response().has_started()) explanation.started = response.response().started();
    const v1::Delta& delta = response.response().delta();
    if (delta.token_ids_size() > 0) explanation.last_text = delta.token_ids_size() == 1 ? delta.text() : "";
    return true;
  });
  if (!finished.ok()) return finished.status();
  for (size_t i = 0; i < explanation.bands.size(); ++i) {
    v1::Finished& of_band = (*finished)[kOn + i];
    explanation.bands[i].maps.Swap(explanation.setting.has_var()
                                       ? of_band.mutable_var_report()->mutable_maps()
                                       : of_band.mutable_intervention_report()->mutable_maps());
  }
  explanation.off = std::move((*finished)[0]);
  explanation.on = std::move((*finished)[kOn]);
  return absl::OkStatus();
}

absl::Status AskSinks(InferenceClient& client, const CallOptions& options, const ExplainRequest& request,
                      Explanation& explanation) {
  const std::optional<Layers> layers = LayersOf(explanation.setting);
  if (explanation.bands.empty() || !explanation.model.has_var_profile()) return absl::OkStatus();
  const uint32_t max_settings = explanation.model.limits().max_settings();
  for (uint32_t begin = layers->first; begin <= layers->last; begin += max_settings) {
    v1::CompareRequest compare = Compare(request);
    compare.mutable_request()->mutable_options()->set_max_tokens(1);
    const uint32_t end = begin + std::min(max_settings, layers->last - begin + 1);
    for (uint32_t layer = begin; layer < end; ++layer) {
      v1::VarOptions& setting = *compare.add_settings() = explanation.setting.var();
      setting.set_mode(v1::VAR_MODE_OBSERVE);
      setting.set_detail(v1::VAR_DETAIL_LAYERS);
      setting.clear_map_layers();
      setting.set_first_layer(layer);
      setting.set_last_layer(layer);
    }
    auto finished = client.Compare(compare, options, &Ignore);
    if (!finished.ok()) return finished.status();
    for (uint32_t layer = begin; layer < end; ++layer) {
      explanation.sinks.push_back(
          {layer, std::move(*(*finished)[layer - begin].mutable_var_report()->mutable_visual_sinks())});
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Explanation::Band> SplitLayers(uint32_t first_layer, uint32_t last_layer, uint32_t max_bands) {
  const uint32_t layers = last_layer - first_layer + 1;
  const uint32_t count = std::min(layers, max_bands);
  std::vector<Explanation::Band> bands;
  for (uint32_t i = 0; i < count; ++i) {
    bands.push_back({.first_layer = first_layer + i * layers / count,
                     .last_layer = first_layer + (i + 1) * layers / count - 1});
  }
  return bands;
}

absl::StatusOr<Explanation> Explain(InferenceClient& client, const CallOptions& options,
                                    const ExplainRequest& request) {
  Explanation explanation;
  absl::StatusOr<v1::Model> model = client.GetModel(options);
  if (!model.ok()) return model.status();
  explanation.model = *std::move(model);
  if (explanation.model.limits().max_settings() < 2) {
    return absl::InternalError("model.limits.max_settings: the server compares fewer than two settings");
  }
  absl::StatusOr<v1::Intervention> setting = EffectiveSetting(client, options, request);
  if (!setting.ok()) return setting.status();
  explanation.setting = *std::move(setting);
  const std::optional<Layers> layers = LayersOf(explanation.setting);
  if (layers.has_value() &&
      (layers->first > layers->last || layers->last >= explanation.model.decoder().layers())) {
    return absl::InternalError(absl::StrCat("started.intervention: the server changes layers ", layers->first,
                                            " to ", layers->last, " of ",
                                            explanation.model.decoder().layers()));
  }
  absl::Status status = AskAnswers(client, options, request, explanation);
  if (status.ok()) status = AskSinks(client, options, request, explanation);
  if (!status.ok()) return status;
  return explanation;
}

}  // namespace varserve::client
