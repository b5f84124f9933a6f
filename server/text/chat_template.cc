#include "server/text/chat_template.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"
#include "server/text/ffi_call.h"

namespace varserve::text {
namespace {

// Keeps the order of keys: a template may write a message as JSON.
using Json = nlohmann::ordered_json;

// Where a template may be; the first file that has one wins, as in transformers.
struct Source {
  const char* file;
  bool is_json;  // under the key chat_template
};
constexpr Source kSources[] = {{"processor_config.json", true},
                               {"chat_template.json", true},
                               {"chat_template.jinja", false},
                               {"tokenizer_config.json", true}};

const char* RoleName(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
  }
  return "user";
}

Json ToParts(const Message& message) {
  Json content = Json::array();
  for (const Part& part : message.parts) {
    if (const std::string* text = std::get_if<std::string>(&part)) {
      content.push_back({{"type", "text"}, {"text", *text}});
    } else {
      content.push_back({{"type", "image"}});
    }
  }
  return content;
}

// Nothing if the message is not of text alone.
std::optional<std::string> ToString(const Message& message) {
  std::string content;
  for (const Part& part : message.parts) {
    const std::string* text = std::get_if<std::string>(&part);
    if (text == nullptr) return std::nullopt;
    content += *text;
  }
  return content;
}

absl::Status NotATemplate(absl::string_view problem) {
  return absl::FailedPreconditionError(absl::StrCat("chat_template: ", problem));
}

absl::StatusOr<std::string> TemplateString(const nlohmann::json& json) {
  if (!json.is_string()) return NotATemplate("a template must be a string");
  return json.get<std::string>();
}

// The template in a JSON file: a string, or several by name, as an object or a list, of which one is the
// default. Empty if there is none.
absl::StatusOr<std::string> FindTemplate(const nlohmann::json& json) {
  const auto found = json.find("chat_template");
  if (found == json.end() || found->is_null()) return "";
  if (found->is_object() && found->contains("default")) return TemplateString((*found)["default"]);
  if (!found->is_array()) return TemplateString(*found);
  absl::StatusOr<std::string> chosen = NotATemplate("none of the list is named \"default\"");
  for (const nlohmann::json& entry : *found) {
    if (!entry.is_object() || !entry.contains("name") || !entry.contains("template")) {
      return NotATemplate("an entry of the list must be an object with name and template");
    }
    if (entry["name"] == "default") chosen = TemplateString(entry["template"]);
  }
  return chosen;
}

absl::StatusOr<std::string> ReadSource(const std::filesystem::path& model_dir, const Source& source) {
  if (!source.is_json) return ReadModelFile(model_dir, source.file);
  ASSIGN_OR_RETURN(const nlohmann::json json, ReadModelJson(model_dir, source.file));
  absl::StatusOr<std::string> text = FindTemplate(json);
  if (!text.ok()) return InFile(source.file, text.status());
  return text;
}

}  // namespace

absl::StatusOr<ChatTemplate> ChatTemplate::Load(const std::filesystem::path& model_dir,
                                                const std::map<std::string, std::string>& named_tokens) {
  std::string looked_for;
  for (const Source& source : kSources) {
    absl::StatusOr<std::string> text = ReadSource(model_dir, source);
    if (!text.ok() && !absl::IsNotFound(text.status())) return text.status();
    if (text.ok() && !text->empty()) {
      absl::StatusOr<ChatTemplate> chat_template = Compile(*std::move(text), named_tokens);
      if (!chat_template.ok()) return InFile(source.file, chat_template.status());
      return chat_template;
    }
    absl::StrAppend(&looked_for, looked_for.empty() ? "" : ", ", source.file);
  }
  return absl::NotFoundError(absl::StrCat("chat template: none in the model directory ", model_dir.string(),
                                          "; looked for it in ", looked_for));
}

absl::StatusOr<ChatTemplate> ChatTemplate::Compile(std::string source,
                                                   const std::map<std::string, std::string>& named_tokens) {
  const absl::StatusOr<TfTemplate*> compiled = FfiCall<TfTemplate*>(tf_template_compile, ToText(source));
  if (!compiled.ok()) return absl::FailedPreconditionError(compiled.status().message());
  ChatTemplate chat_template(std::move(source), *compiled, named_tokens);
  for (const Role role : {Role::kUser, Role::kSystem, Role::kAssistant}) {
    if (chat_template.TakesString(role)) chat_template.string_roles_.insert(role);
  }
  return chat_template;
}

ChatTemplate::ChatTemplate(std::string source, TfTemplate* chat_template,
                           const std::map<std::string, std::string>& named_tokens)
    : source_(std::move(source)), template_(chat_template), named_tokens_(named_tokens) {}

bool ChatTemplate::TakesString(Role role) {
  // Quotes are written otherwise where a list is printed.
  const std::string text = "what's \"this\"?";
  const Message user = {Role::kUser, {"hello"}};
  const Message tried = {role, {text}};
  std::vector<Message> messages = {tried};
  if (role == Role::kSystem) messages = {tried, user};
  if (role == Role::kAssistant) messages = {user, tried, user};
  const auto writes_text = [&] {
    const absl::StatusOr<std::string> rendered = Render(messages);
    return rendered.ok() && absl::StrContains(*rendered, text);
  };
  if (writes_text()) return false;
  string_roles_.insert(role);
  const bool as_string = writes_text();
  string_roles_.erase(role);
  return as_string;
}

absl::StatusOr<std::string> ChatTemplate::Render(absl::Span<const Message> messages) const {
  Json context = named_tokens_;
  Json& list = context["messages"] = Json::array();
  for (const Message& message : messages) {
    const std::optional<std::string> string =
        string_roles_.contains(message.role) ? ToString(message) : std::nullopt;
    list.push_back({{"role", RoleName(message.role)},
                    {"content", string.has_value() ? Json(*string) : ToParts(message)}});
  }
  context["add_generation_prompt"] = true;
  context["tools"] = nullptr;
  context["documents"] = nullptr;
  const std::string context_json = context.dump(-1, ' ', false, Json::error_handler_t::replace);
  const absl::StatusOr<TfString> text =
      FfiCall<TfString>(tf_template_render, template_.get(), ToText(context_json));
  if (!text.ok()) {
    return absl::Status(text.status().code(), absl::StrCat("messages: ", text.status().message()));
  }
  return TakeString(*text);
}

}  // namespace varserve::text
