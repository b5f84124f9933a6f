#include "server/http/openai_service.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "nlohmann/json.hpp"
#include "server/base/status_macros.h"
#include "server/http/error_reply.h"
#include "server/http/http_message.h"
#include "server/http/percent_decoding.h"
#include "server/openai/completion_request.h"
#include "server/openai/model_names.h"
#include "server/transport/peer.h"
#include "server/transport/receive_memory.h"

namespace varserve::http {
namespace {

using nlohmann::json;

constexpr char kOneModel[] = "/v1/models/";

void Reply(Connection& connection, const json& body, int status = 200) {
  connection.Write(JsonReply({.status = status, .keep_alive = connection.keep_alive()}, body.dump()),
                   /*last=*/true);
}

void Refuse(Connection& connection, const absl::Status& status) {
  connection.Write(ErrorReply(status, {.keep_alive = connection.keep_alive()}), /*last=*/true);
}

void Refuse(Connection& connection, const absl::Status& status, int http_status,
            std::vector<std::pair<std::string, std::string>> headers = {}) {
  ReplyHead head{.headers = std::move(headers), .keep_alive = connection.keep_alive()};
  connection.Write(ErrorReply(status, std::move(head), http_status), /*last=*/true);
}

// What a browser sends to other sites unasked is of another type.
absl::Status CheckContentType(const RequestHead& head) {
  if (absl::StartsWithIgnoreCase(head.content_type, "application/json")) return absl::OkStatus();
  return absl::InvalidArgumentError("Content-Type: is not application/json");
}

openai::CompletionFormat FormatOf(const openai::CompletionRequest& request, const chat::Call& call,
                                  const chat::ChatService::ModelRef& model) {
  return {.id = absl::StrCat("chatcmpl-", call.metadata().request_id),
          .model = request.model,
          .created = absl::Now(),
          .choices = request.choices,
          .logprobs = request.logprobs,
          .include_usage = request.include_usage,
          .token_text = [model](int32_t token) { return model->preprocessor->tokenizer().TokenText(token); }};
}

}  // namespace

OpenAiService::OpenAiService(const ServiceOptions& options, chat::ChatService* chat)
    : options_(options), chat_(chat), started_(absl::Now()) {}

std::shared_ptr<Exchange> OpenAiService::Begin(Connection& connection, const RequestHead& head) {
  const bool completion = head.path == "/v1/chat/completions";
  const bool models = head.path == "/v1/models" || absl::StartsWith(head.path, kOneModel);
  const bool known = completion || models || head.path == "/health" || head.path == "/version";
  const char* const method = completion ? "POST" : "GET";
  if (!known) {
    Refuse(connection,
           absl::NotFoundError(absl::StrCat(
               "there is no ", head.path.substr(0, 128),
               "; this server answers POST /v1/chat/completions and GET /v1/models, /v1/models/NAME, "
               "/health, /version")));
  } else if (head.method != method) {
    Refuse(connection, absl::InvalidArgumentError(absl::StrCat("only ", method, " is answered here")), 405,
           {{"Allow", method}});
  } else if (const absl::Status type = CheckContentType(head); completion && !type.ok()) {
    Refuse(connection, type, 415);
  } else if (completion) {
    return BeginCompletion(connection, head);
  } else if (models) {
    ReplyModels(connection, head);
  } else if (head.path == "/version") {
    Reply(connection, {{"version", options_.server_version}});
  } else {
    ReplyHealth(connection);
  }
  return nullptr;
}

absl::Status OpenAiService::Identify(const RequestHead& head, chat::CallMetadata& metadata) const {
  if (options_.tokens != nullptr) {
    ASSIGN_OR_RETURN(metadata.caller, options_.tokens->Check(head.authorization));
  }
  return metadata.status;
}

std::shared_ptr<Exchange> OpenAiService::BeginCompletion(Connection& connection, const RequestHead& head) {
  chat::CallMetadata metadata = chat::MakeCallMetadata(head.request_id, head.traceparent);
  metadata.transport = "http";
  metadata.arrival = options_.clock->Now();
  metadata.caller = transport::AddressOf(connection.peer());
  // A request rejected here costs nothing: none of its bytes are parsed.
  const absl::Status identified = Identify(head, metadata);
  absl::StatusOr<chat::ChatService::ModelRef> model = identified.ok() ? chat_->Admit(metadata) : identified;
  const auto max_bytes = static_cast<uint64_t>(options_.max_message_bytes);
  if (model.ok() && head.content_length.value_or(0) > max_bytes) {
    model = transport::MessageTooLarge(options_.max_message_bytes);
  }
  std::vector<std::pair<std::string, std::string>> headers = {{"x-request-id", metadata.request_id}};
  if (!metadata.traceparent.empty()) headers.emplace_back("traceparent", metadata.traceparent);
  auto stream = CompletionCall::Create({.connection = connection.shared_from_this(),
                                        .open_calls = options_.open_calls,
                                        .caller = metadata.caller,
                                        .headers = std::move(headers)});
  const auto call = std::make_shared<chat::Call>("ChatCompletions", std::move(metadata), stream);
  if (model.ok()) {
    Answer(*model, call, stream);
  } else {
    chat_->Refuse(*call, model.status());
  }
  return stream;
}

void OpenAiService::Answer(const chat::ChatService::ModelRef& model, const std::shared_ptr<chat::Call>& call,
                           const std::shared_ptr<CompletionCall>& stream) {
  stream->ReadBody(
      options_.max_message_bytes, [this, call, model, stream](absl::StatusOr<CompletionCall::Body> body) {
        if (!body.ok()) return chat_->Refuse(*call, body.status());
        chat_->Answer(model, call,
                      [call, model, stream, body = *std::move(body)](
                          const chat::RequestLimits& limits) mutable -> absl::StatusOr<chat::ChatRequest> {
                        ASSIGN_OR_RETURN(
                            std::shared_ptr<openai::CompletionRequest> request,
                            openai::ReadCompletion(std::move(body.text), limits, model->description));
                        stream->SetFormat(FormatOf(*request, *call, model), request->stream);
                        return openai::ToChat(std::move(request));
                      });
      });
}

void OpenAiService::ReplyModels(Connection& connection, const RequestHead& head) {
  chat::CallMetadata metadata = chat::MakeCallMetadata(head.request_id, head.traceparent);
  const absl::Status identified = Identify(head, metadata);
  const absl::StatusOr<json> models = identified.ok() ? ModelsAt(head.path) : identified;
  options_.metrics->OnRequestEnd(
      {.transport = "http", .method = "ListModels", .code = models.status().code()});
  models.ok() ? Reply(connection, *models) : Refuse(connection, models.status());
}

absl::StatusOr<json> OpenAiService::ModelsAt(absl::string_view path) const {
  ASSIGN_OR_RETURN(const chat::ChatService::ModelRef model, chat_->model());
  const v1::Model& description = model->description;
  const auto entry = [&](absl::string_view name) -> json {
    return {{"id", name},
            {"object", "model"},
            {"created", absl::ToUnixSeconds(started_)},
            {"owned_by", "varserve"},
            {"max_model_len", description.decoder().context()}};
  };
  if (absl::string_view name = path; absl::ConsumePrefix(&name, kOneModel)) {
    const std::optional<std::string> decoded = PercentDecoded(name);
    if (!decoded.has_value())
      return absl::InvalidArgumentError(absl::StrCat(
          "model: \"", name.substr(0, 128), "\" has a % that is not followed by two hexadecimal digits"));
    RETURN_IF_ERROR(openai::InterventionOf(*decoded, description).status());
    return entry(*decoded);
  }
  json list = json::array();
  for (const std::string& name : openai::NamesOf(description)) list.push_back(entry(name));
  return json{{"object", "list"}, {"data", std::move(list)}};
}

void OpenAiService::ReplyHealth(Connection& connection) const {
  const bool ready = ready_;
  Reply(connection, {{"status", ready ? "ready" : "not ready"}}, ready ? 200 : 503);
}

}  // namespace varserve::http
