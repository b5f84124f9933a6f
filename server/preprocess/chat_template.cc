#include "server/preprocess/chat_template.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"
#include "server/preprocess/ffi_call.h"

namespace varserve::preprocess {
namespace {

// Keeps the order of keys: a template may write a message as JSON.
using Json = nlohmann::ordered_json;

// Where a template may stand; the first file that has one wins, as in transformers.
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

Json ToJson(const Message& message) {
  Json content = Json::array();
  for (const Part& part : message.parts) {
    if (const std::string* text = std::get_if<std::string>(&part)) {
      content.push_back({{"type", "text"}, {"text", *text}});
    } else {
      content.push_back({{"type", "image"}});
    }
  }
  return {{"role", RoleName(message.role)}, {"content", std::move(content)}};
}

// The template in a JSON file: a string, or a list of named ones of which one is the default. Empty if there
// is none.
std::string FindTemplate(const nlohmann::json& json) {
  const auto found = json.find("chat_template");
  if (found == json.end()) return "";
  if (found->is_string()) return *found;
  if (found->is_array()) {
    for (const nlohmann::json& entry : *found) {
      if (entry.is_object() && entry.value("name", "") == "default") return entry.value("template", "");
    }
  }
  return "";
}

absl::StatusOr<std::string> ReadSource(const std::filesystem::path& model_dir, const Source& source) {
  if (!source.is_json) return ReadModelFile(model_dir, source.file);
  ASSIGN_OR_RETURN(const nlohmann::json json, ReadModelJson(model_dir, source.file));
  return FindTemplate(json);
}

}  // namespace

absl::StatusOr<ChatTemplate> ChatTemplate::Load(const std::filesystem::path& model_dir) {
  std::string looked_for;
  for (const Source& source : kSources) {
    absl::StatusOr<std::string> text = ReadSource(model_dir, source);
    if (!text.ok() && !absl::IsNotFound(text.status())) return text.status();
    if (text.ok() && !text->empty()) {
      absl::StatusOr<ChatTemplate> chat_template = Compile(*std::move(text));
      if (!chat_template.ok()) return InFile(source.file, chat_template.status());
      return chat_template;
    }
    absl::StrAppend(&looked_for, looked_for.empty() ? "" : ", ", source.file);
  }
  return absl::NotFoundError(absl::StrCat("chat template: none in the model directory ", model_dir.string(),
                                          "; looked for it in ", looked_for));
}

absl::StatusOr<ChatTemplate> ChatTemplate::Compile(std::string source) {
  const absl::StatusOr<TfTemplate*> chat_template = FfiCall<TfTemplate*>(tf_template_compile, ToText(source));
  if (!chat_template.ok()) return absl::FailedPreconditionError(chat_template.status().message());
  return ChatTemplate(std::move(source), *chat_template);
}

ChatTemplate::ChatTemplate(std::string source, TfTemplate* chat_template)
    : source_(std::move(source)), template_(chat_template) {}

absl::StatusOr<std::string> ChatTemplate::Render(
    absl::Span<const Message> messages, const std::map<std::string, std::string>& named_tokens) const {
  Json context = named_tokens;
  context["messages"] = Json::array();
  for (const Message& message : messages) context["messages"].push_back(ToJson(message));
  context["add_generation_prompt"] = true;
  context["tools"] = nullptr;
  context["documents"] = nullptr;
  const std::string context_json = context.dump(-1, ' ', false, Json::error_handler_t::replace);
  absl::StatusOr<TfString> text =
      FfiCall<TfString>(tf_template_render, template_.get(), ToText(context_json));
  if (!text.ok()) {
    return absl::Status(text.status().code(),
                        absl::StrCat("messages: the chat template says: ", text.status().message()));
  }
  return TakeString(*text);
}

}  // namespace varserve::preprocess
