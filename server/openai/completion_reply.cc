#include "server/openai/completion_reply.h"

#include <google/protobuf/util/json_util.h>

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/openai/error_reply.h"

namespace varserve::openai {
namespace {

using nlohmann::json;

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";

std::string Text(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

std::string Event(absl::string_view data) { return absl::StrCat("data: ", data, "\n\n"); }

// As JSON after the other fields of `object`; the report may be megabytes, so it is not parsed for that.
std::string WithReport(const json& object, absl::string_view report) {
  std::string text = Text(object);
  if (report.empty()) return text;
  text.pop_back();
  absl::StrAppend(&text, ",", report, "}");
  return text;
}

// "NAME":{..}
std::string ReportMember(absl::string_view name, const google::protobuf::Message& report) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  // Fails for google.protobuf.Any of an unknown type only, which the API does not have.
  (void)google::protobuf::util::MessageToJsonString(report, &text, options);
  return absl::StrCat("\"", name, "\":", text);
}

json TokenJson(const std::string& text, float logprob) {
  json bytes = nullptr;  // of a part of a character, which is not known
  if (!absl::StrContains(text, kReplacement)) {
    bytes = json::array();
    for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  }
  return {{"token", text}, {"logprob", logprob}, {"bytes", std::move(bytes)}};
}

const char* ReasonOf(v1::FinishReason reason) {
  return reason == v1::FINISH_REASON_LENGTH ? "length" : "stop";
}

}  // namespace

CompletionReply::CompletionReply(CompletionFormat format)
    : format_(std::move(format)), choices_(format_.choices) {}

json CompletionReply::Frame(const char* object) const {
  return {{"id", format_.id},
          {"object", object},
          {"created", absl::ToUnixSeconds(format_.created)},
          {"model", format_.model}};
}

json CompletionReply::Logprobs(const v1::Delta& delta) const {
  json tokens = json::array();
  for (const v1::TokenLogprob& token : delta.logprobs()) {
    json one = TokenJson(format_.token_text(static_cast<int32_t>(token.token_id())), token.logprob());
    json& top = one["top_logprobs"] = json::array();
    for (const v1::TokenLogprob::Alternative& alternative : token.top())
      top.push_back(TokenJson(alternative.text(), alternative.logprob()));
    tokens.push_back(std::move(one));
  }
  return tokens;
}

json CompletionReply::Usage() const {
  const v1::Usage& prompt = choices_.front().usage;  // the same for all
  int64_t generated = 0;
  for (const Choice& choice : choices_) generated += choice.usage.generated_tokens();
  json usage = {{"prompt_tokens", prompt.prompt_tokens()},
                {"completion_tokens", generated},
                {"total_tokens", prompt.prompt_tokens() + generated},
                {"prompt_tokens_details",
                 {{"cached_tokens", prompt.cached_tokens()}, {"visual_tokens", prompt.visual_tokens()}}}};
  int64_t siblings = 0;
  for (const Choice& choice : choices_) siblings += choice.usage.sibling_tokens();
  if (siblings > 0) usage["sibling_tokens"] = siblings;
  return usage;
}

void CompletionReply::Finish(const v1::Finished& finished, Choice& choice) const {
  choice.finish_reason = ReasonOf(finished.finish_reason());
  choice.usage = finished.usage();
  std::vector<std::string> members;
  if (finished.has_var_report()) members.push_back(ReportMember("var_report", finished.var_report()));
  if (finished.has_intervention_report())
    members.push_back(ReportMember("intervention_report", finished.intervention_report()));
  if (finished.has_contrast_report())
    members.push_back(ReportMember("contrast_report", finished.contrast_report()));
  choice.report = absl::StrJoin(members, ",");
}

void CompletionReply::Add(const chat::Reply& reply) {
  Choice& choice = choices_.at(reply.setting);
  if (reply.response.has_delta()) {
    choice.text += reply.response.delta().text();
    for (json& token : Logprobs(reply.response.delta())) choice.logprobs.push_back(std::move(token));
  }
  if (reply.response.has_finished()) Finish(reply.response.finished(), choice);
}

std::string CompletionReply::Whole() const {
  json body = Frame("chat.completion");
  body["usage"] = Usage();
  std::string list;  // of choices, each with its report if there are several
  for (size_t i = 0; i < choices_.size(); ++i) {
    const Choice& choice = choices_[i];
    const json one = {
        {"index", i},
        {"message", {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}}},
        {"logprobs", format_.logprobs ? json{{"content", choice.logprobs}, {"refusal", nullptr}} : json()},
        {"finish_reason", choice.finish_reason}};
    absl::StrAppend(&list, i == 0 ? "" : ",", WithReport(one, choices_.size() > 1 ? choice.report : ""));
  }
  std::string text = WithReport(body, choices_.size() == 1 ? choices_.front().report : "");
  text.pop_back();
  absl::StrAppend(&text, ",\"choices\":[", list, "]}");
  return text;
}

std::string CompletionReply::ChunkEvent(uint32_t choice, json delta, json logprobs, json finish_reason,
                                        absl::string_view report) const {
  json chunk = Frame("chat.completion.chunk");
  if (format_.include_usage) chunk["usage"] = nullptr;
  json one = {{"index", choice},
              {"delta", std::move(delta)},
              {"logprobs", std::move(logprobs)},
              {"finish_reason", std::move(finish_reason)}};
  if (format_.choices == 1) {
    chunk["choices"] = json::array({std::move(one)});
    return Event(WithReport(chunk, report));
  }
  std::string text = Text(chunk);
  text.pop_back();
  return Event(absl::StrCat(text, ",\"choices\":[", WithReport(one, report), "]}"));
}

std::string CompletionReply::Events(const chat::Reply& reply) {
  const v1::GenerateResponse& response = reply.response;
  if (response.has_started())
    return ChunkEvent(reply.setting, {{"role", "assistant"}, {"content", ""}}, nullptr, nullptr, "");
  if (response.has_delta()) {
    json logprobs = nullptr;
    if (format_.logprobs) logprobs = {{"content", Logprobs(response.delta())}, {"refusal", nullptr}};
    return ChunkEvent(reply.setting, {{"content", response.delta().text()}}, std::move(logprobs), nullptr,
                      "");
  }
  Choice& choice = choices_.at(reply.setting);
  Finish(response.finished(), choice);
  // One answer's report comes with its usage.
  const bool later = format_.choices == 1 && format_.include_usage;
  return ChunkEvent(reply.setting, json::object(), nullptr, choice.finish_reason, later ? "" : choice.report);
}

std::string CompletionReply::LastEvents() const {
  std::string events;
  if (format_.include_usage) {
    json chunk = Frame("chat.completion.chunk");
    chunk["choices"] = json::array();
    chunk["usage"] = Usage();
    events = Event(WithReport(chunk, format_.choices == 1 ? choices_.front().report : ""));
  }
  return events + Event("[DONE]");
}

std::string ErrorEvent(const absl::Status& status) { return Event(ErrorBody(status)); }

}  // namespace varserve::openai
