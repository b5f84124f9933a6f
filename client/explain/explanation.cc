#include "client/explain/explanation.h"

#include <algorithm>
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

v1::VarOptions On(const v1::VarOptions& var, v1::VarDetail detail) {
  v1::VarOptions on = var;
  on.set_mode(v1::VAR_MODE_ON);
  on.set_detail(detail);
  on.clear_map_layers();
  return on;
}

// Which layers and thresholds the server makes of the options. Also brings the picture into its prefix cache.
absl::StatusOr<v1::VarOptions> EffectiveVar(InferenceClient& client, const CallOptions& options,
                                            const ExplainRequest& request) {
  v1::CompareRequest compare = Compare(request);
  compare.mutable_request()->mutable_options()->set_max_tokens(1);
  *compare.add_settings() = On(request.var, v1::VAR_DETAIL_NONE);
  const auto finished = client.Compare(compare, options, &Ignore);
  if (!finished.ok()) return finished.status();
  return finished->front().var_report().effective();
}

absl::Status AskAnswers(InferenceClient& client, const CallOptions& options, const ExplainRequest& request,
                        const v1::VarOptions& var, Explanation& explanation) {
  constexpr uint32_t kOn = 1;  // the setting's index; then one for each band
  const uint32_t max_settings = explanation.model.limits().max_settings();
  explanation.bands = SplitLayers(var.first_layer(), var.last_layer(), 1);
  if (max_settings > kOn + 1) {
    const uint32_t room = std::min(kMaxBands, max_settings - kOn - 1);
    for (Explanation::Band& band : SplitLayers(var.first_layer(), var.last_layer(), room)) {
      explanation.bands.push_back(std::move(band));
    }
  }
  v1::CompareRequest compare = Compare(request);
  compare.add_settings()->set_mode(v1::VAR_MODE_OFF);
  for (const Explanation::Band& band : explanation.bands) {
    v1::VarOptions& setting = *compare.add_settings() = On(var, v1::VAR_DETAIL_MAPS);
    for (uint32_t layer = band.first_layer; layer <= band.last_layer; ++layer) setting.add_map_layers(layer);
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
    explanation.bands[i].maps.Swap((*finished)[kOn + i].mutable_var_report()->mutable_maps());
  }
  explanation.off = std::move((*finished)[0]);
  explanation.on = std::move((*finished)[kOn]);
  return absl::OkStatus();
}

absl::Status AskSinks(InferenceClient& client, const CallOptions& options, const ExplainRequest& request,
                      const v1::VarOptions& var, Explanation& explanation) {
  const uint32_t max_settings = explanation.model.limits().max_settings();
  for (uint32_t begin = var.first_layer(); begin <= var.last_layer(); begin += max_settings) {
    v1::CompareRequest compare = Compare(request);
    compare.mutable_request()->mutable_options()->set_max_tokens(1);
    const uint32_t end = begin + std::min(max_settings, var.last_layer() - begin + 1);
    for (uint32_t layer = begin; layer < end; ++layer) {
      v1::VarOptions& setting = *compare.add_settings() = var;
      setting.set_mode(v1::VAR_MODE_OBSERVE);
      setting.set_detail(v1::VAR_DETAIL_LAYERS);
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
  const absl::StatusOr<v1::VarOptions> var = EffectiveVar(client, options, request);
  if (!var.ok()) return var.status();
  if (var->first_layer() > var->last_layer() || var->last_layer() >= explanation.model.decoder().layers()) {
    return absl::InternalError(absl::StrCat("var_report.effective: the server measured layers ",
                                            var->first_layer(), " to ", var->last_layer(), " of ",
                                            explanation.model.decoder().layers()));
  }
  absl::Status status = AskAnswers(client, options, request, *var, explanation);
  if (status.ok()) status = AskSinks(client, options, request, *var, explanation);
  if (!status.ok()) return status;
  return explanation;
}

}  // namespace varserve::client
