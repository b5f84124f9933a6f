#include "server/openai/completion_request.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/field_error.h"
#include "server/base/status_macros.h"
#include "server/openai/bounded_json.h"
#include "server/openai/intervention_options.h"
#include "server/openai/model_names.h"
#include "server/openai/request_fields.h"

namespace varserve::openai {
namespace {

using nlohmann::json;

constexpr int64_t kMaxTopLogprobs = 20;

// Whether a field asks for nothing: null, 0, false, "none", "auto", or an empty list, object or text.
bool IsNeutral(const json& value) {
  if (value.is_number()) return value.get<double>() == 0;
  if (value.is_boolean()) return !value.get<bool>();
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    return text.empty() || text == "none" || text == "auto";
  }
  return value.empty();
}

absl::Status RefuseUnsupported(const RequestFields& fields) {
  for (const char* key :
       {"tools", "functions", "tool_choice", "function_call", "logit_bias", "audio", "web_search_options"}) {
    const json* value = fields.Find(key);
    if (value != nullptr && !IsNeutral(*value)) return Invalid(key, "this server does not support it");
  }
  for (const char* key : {"presence_penalty", "frequency_penalty"}) {
    const json* value = fields.Find(key);
    if (value != nullptr && !IsNeutral(*value))
      return Invalid(key, "only 0 is supported; repetition_penalty makes repetitions less likely");
  }
  if (json* format = fields.Find("response_format"); format != nullptr) {
    ASSIGN_OR_RETURN(const RequestFields inner, RequestFields::Of(*format, "response_format"));
    ASSIGN_OR_RETURN(const std::string type, inner.RequiredString("type"));
    if (type != "text") return Invalid("response_format.type", "only text is supported");
  }
  if (const json* modalities = fields.Find("modalities");
      modalities != nullptr && *modalities != json{"text"})
    return Invalid("modalities", "only [\"text\"] is supported");
  return absl::OkStatus();
}

absl::Status ReadStop(const RequestFields& fields, v1::GenerateOptions& options) {
  json* stop = fields.Find("stop");
  if (stop == nullptr) return absl::OkStatus();
  if (stop->is_string()) {
    options.add_stop(stop->get<std::string>());
    return absl::OkStatus();
  }
  if (!stop->is_array())
    return Invalid("stop", absl::StrCat("is ", KindOf(*stop), ", not a string or an array of them"));
  for (size_t i = 0; i < stop->size(); ++i) {
    if (!(*stop)[i].is_string())
      return Invalid(absl::StrCat("stop[", i, "]"),
                     absl::StrCat("is ", KindOf((*stop)[i]), ", not a string"));
    options.add_stop((*stop)[i].get<std::string>());
  }
  return absl::OkStatus();
}

absl::Status ReadLogprobs(const RequestFields& fields, CompletionRequest& request) {
  ASSIGN_OR_RETURN(const std::optional<bool> logprobs, fields.Bool("logprobs"));
  ASSIGN_OR_RETURN(const std::optional<int64_t> top, fields.Integer("top_logprobs", 0, kMaxTopLogprobs));
  request.logprobs = logprobs.value_or(false);
  if (request.logprobs) request.options.set_logprobs(static_cast<uint32_t>(top.value_or(0)));
  if (!request.logprobs && top.value_or(0) > 0) return Invalid("top_logprobs", "needs \"logprobs\": true");
  return absl::OkStatus();
}

// Ranges are the pipeline's business, where its types can hold the values.
absl::Status ReadSampling(const RequestFields& fields, v1::GenerateOptions& options) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  // The newer of the two names wins.
  for (const char* key : {"max_tokens", "max_completion_tokens"}) {
    ASSIGN_OR_RETURN(const std::optional<int64_t> tokens, fields.Integer(key, 1, kMost));
    if (tokens.has_value()) options.set_max_tokens(static_cast<uint32_t>(*tokens));
  }
  ASSIGN_OR_RETURN(const std::optional<double> temperature, fields.Number("temperature"));
  if (temperature.has_value()) options.set_temperature(static_cast<float>(*temperature));
  ASSIGN_OR_RETURN(const std::optional<double> top_p, fields.Number("top_p"));
  if (top_p.has_value()) options.set_top_p(static_cast<float>(*top_p));
  ASSIGN_OR_RETURN(const std::optional<double> penalty, fields.Number("repetition_penalty"));
  if (penalty.has_value()) options.set_repetition_penalty(static_cast<float>(*penalty));
  ASSIGN_OR_RETURN(const std::optional<int64_t> top_k, fields.Integer("top_k", -1, kMost));
  if (top_k.has_value()) options.set_top_k(static_cast<uint32_t>(std::max<int64_t>(*top_k, 0)));  // -1: all
  ASSIGN_OR_RETURN(const std::optional<int64_t> seed, fields.Integer("seed", INT64_MIN, INT64_MAX));
  if (seed.has_value()) options.set_seed(static_cast<uint64_t>(*seed));
  ASSIGN_OR_RETURN(const std::optional<bool> ignore_eos, fields.Bool("ignore_eos"));
  options.set_ignore_eos(ignore_eos.value_or(false));
  return ReadStop(fields, options);
}

absl::Status ReadDelivery(const RequestFields& fields, CompletionRequest& request) {
  ASSIGN_OR_RETURN(const std::optional<int64_t> choices, fields.Integer("n", 1, chat::kMaxSettings));
  request.choices = static_cast<int>(choices.value_or(1));
  ASSIGN_OR_RETURN(const std::optional<bool> stream, fields.Bool("stream"));
  request.stream = stream.value_or(false);
  json* options = fields.Find("stream_options");
  if (options == nullptr) return absl::OkStatus();
  if (!request.stream) return Invalid("stream_options", "needs \"stream\": true");
  ASSIGN_OR_RETURN(const RequestFields inner, RequestFields::Of(*options, "stream_options"));
  ASSIGN_OR_RETURN(const std::optional<bool> usage, inner.Bool("include_usage"));
  request.include_usage = usage.value_or(false);
  return absl::OkStatus();
}

// "var" or "intervention", in addition to what the model's name says.
absl::Status ReadInterventionFields(const RequestFields& fields, const chat::RequestLimits& limits,
                                    CompletionRequest& request) {
  v1::Intervention& intervention = request.intervention;
  const v1::Intervention::MethodCase named = intervention.method_case();
  const v1::Intervention::ContrastCase named_contrast = intervention.contrast_case();
  const json* var = fields.Find("var");
  const json* other = fields.Find("intervention");
  if (var != nullptr && other != nullptr)
    return Invalid("intervention", "must not be set together with var; it can hold VAR as well");
  if (var != nullptr) RETURN_IF_ERROR(ReadOptions(*var, "var", *intervention.mutable_var()));
  if (other != nullptr) RETURN_IF_ERROR(ReadIntervention(*other, intervention));
  if ((named != v1::Intervention::METHOD_NOT_SET && intervention.method_case() != named) ||
      (named_contrast != v1::Intervention::CONTRAST_NOT_SET &&
       intervention.contrast_case() != named_contrast)) {
    return Invalid(var != nullptr ? "var" : "intervention",
                   absl::StrCat("is another method than that of the model \"", request.model, "\""));
  }
  const bool has_contrast = intervention.contrast_case() != v1::Intervention::CONTRAST_NOT_SET;
  if (intervention.method_case() == v1::Intervention::METHOD_NOT_SET && !has_contrast)
    intervention.mutable_var();
  request.in_var = intervention.has_var() && other == nullptr;
  if (intervention.var().map_layers_size() <= limits.num_layers) return absl::OkStatus();
  return Invalid(
      request.in_var ? "var.map_layers" : "intervention.var.map_layers",
      absl::StrCat("at most ", limits.num_layers, " layers; the model has no more, and counts them from 0"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<CompletionRequest>> ReadCompletion(std::string body,
                                                                  const chat::RequestLimits& limits,
                                                                  const v1::Model& model) {
  ASSIGN_OR_RETURN(json object, ParseJson(body));
  body = std::string();
  ASSIGN_OR_RETURN(const RequestFields fields, RequestFields::Of(object, ""));
  auto request = std::make_unique<CompletionRequest>();
  ASSIGN_OR_RETURN(request->model, fields.RequiredString("model"));
  ASSIGN_OR_RETURN(request->intervention, InterventionOf(request->model, model));
  RETURN_IF_ERROR(ReadInterventionFields(fields, limits, *request));
  RETURN_IF_ERROR(RefuseUnsupported(fields));
  RETURN_IF_ERROR(ReadSampling(fields, request->options));
  RETURN_IF_ERROR(ReadLogprobs(fields, *request));
  RETURN_IF_ERROR(ReadDelivery(fields, *request));
  ASSIGN_OR_RETURN(request->conversation, ReadConversation(fields.Find("messages"), limits));
  return request;
}

chat::ChatRequest ToChat(std::shared_ptr<CompletionRequest> request) {
  chat::ChatRequest chat{.messages = request->conversation.messages,
                         .options = &request->options,
                         .seed_per_setting = true,
                         .options_field = "",
                         .text_field = "messages",
                         .images_field = "messages"};
  for (const Picture& picture : request->conversation.pictures) {
    const bool has_bytes = !picture.digest.has_value() && picture.url.empty();
    chat.pictures.push_back({picture.field, has_bytes ? &picture.bytes : nullptr,
                             picture.digest.value_or(Digest{}), picture.url});
  }
  chat::ChatRequest::Setting setting = *chat::MethodsOf("intervention", request->intervention);
  if (request->in_var) setting.attention.field = "var";
  chat.settings.assign(request->choices, setting);
  chat.source = std::move(request);
  return chat;
}

}  // namespace varserve::openai
