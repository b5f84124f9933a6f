// What holds for every conversation that a reader of requests accepts, and for every refusal. Aborts
// otherwise.
#pragma once

#include <cstdlib>
#include <variant>

#include "server/chat/chat_request.h"
#include "server/chat/method_settings.h"
#include "server/chat/request_options.h"
#include "server/interventions/table/table.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::chat {

inline constexpr int kVocabulary = 1000;
inline constexpr int kLayers = 30;

inline void Check(bool condition) {
  if (!condition) std::abort();
}

// INVALID_ARGUMENT that says where.
inline void CheckRefusal(const absl::Status& status) {
  Check(absl::IsInvalidArgument(status) && status.message().find(':') != absl::string_view::npos);
}

inline void CheckSampling(const SamplingRequest& request) {
  const engine::SamplingParams& p = request.params;
  Check(p.max_tokens >= 1 && p.temperature >= 0 && p.temperature <= 5 && p.top_p > 0 && p.top_p <= 1);
  Check(p.top_k >= 0 && p.top_k <= kVocabulary && p.repetition_penalty > 0 && p.logprobs >= -1 &&
        p.logprobs <= 20);
  Check(request.stop.size() <= 8);
  for (const std::string& stop : request.stop) Check(!stop.empty() && stop.size() <= 256);
}

template <typename Options>
void CheckLayers(const Options& options) {
  Check(options.first_layer() <= options.last_layer() && options.last_layer() < kLayers);
}

inline void CheckSetting(const interventions::Setting& setting) {
  v1::Started started;
  setting.Describe(started);
  const v1::Intervention& effective = started.intervention();
  switch (effective.method_case()) {
    case v1::Intervention::kVar: {
      const v1::VarOptions& o = effective.var();
      Check(o.tau() > 0 && o.rho() >= 0 && o.rho() <= 1 && o.p() >= 0 && o.p() <= 1);
      Check(o.min_visual_attention() >= 0 && o.min_visual_attention() <= 1);
      CheckLayers(o);
      break;
    }
    case v1::Intervention::kPai:
      Check(effective.pai().alpha() >= 0 && effective.pai().alpha() <= 10);
      CheckLayers(effective.pai());
      break;
    case v1::Intervention::kVaf:
      Check(effective.vaf().visual_scale() >= 0 && effective.vaf().text_scale() >= 0);
      CheckLayers(effective.vaf());
      break;
    case v1::Intervention::kSpin:
      Check(effective.spin().kept_head_ratio() >= 0 && effective.spin().kept_head_ratio() <= 1);
      CheckLayers(effective.spin());
      break;
    case v1::Intervention::METHOD_NOT_SET:
      Check(false);
  }
  for (const int layer : setting.map_layers()) Check(layer >= 0 && layer < kLayers);
}

inline void CheckChat(const ChatRequest& chat) {
  Check(!chat.messages.empty() && !chat.settings.empty() && chat.settings.size() <= kMaxSettings);
  size_t images = 0;
  for (const text::Message& message : chat.messages) {
    Check(!message.parts.empty());
    for (const text::Part& part : message.parts) images += std::holds_alternative<text::ImagePart>(part);
  }
  Check(images == chat.pictures.size());
  const auto sampling = ReadGenerateOptions(*chat.options, kVocabulary, 1);
  sampling.ok() ? CheckSampling(*sampling) : CheckRefusal(sampling.status());
  for (const ChatRequest::Setting& setting : chat.settings) {
    const auto methods = ReadMethods(setting, {.var = {.profile_tau = 20.0F, .num_layers = kLayers},
                                               .attention = {.num_layers = kLayers, .num_heads = 4}});
    methods.ok() ? CheckSetting(*methods->attention) : CheckRefusal(methods.status());
  }
}

}  // namespace varserve::chat
