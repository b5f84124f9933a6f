#include "server/openai/conversation.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/field_error.h"
#include "server/base/status_macros.h"
#include "server/openai/request_fields.h"

namespace varserve::openai {
namespace {

using nlohmann::json;
using text::ImagePart;
using text::Message;
using text::Role;

class Reader {
 public:
  explicit Reader(const chat::RequestLimits& limits) : limits_(limits) {}

  absl::Status ReadMessage(json& value, int index);
  Conversation&& result() { return std::move(result_); }

 private:
  absl::StatusOr<Role> ReadRole(const RequestFields& fields, int index) const;
  absl::Status ReadPart(json& value, const std::string& path, Message& message);
  absl::Status ReadPicture(RequestFields& part, const std::string& path, Message& message);
  absl::Status CountPart(const std::string& path) {
    if (++parts_ <= limits_.max_parts) return absl::OkStatus();
    return Invalid(path, absl::StrCat("at most ", limits_.max_parts, " parts in all messages"));
  }

  const chat::RequestLimits& limits_;
  int parts_ = 0;
  Conversation result_;
};

absl::StatusOr<Role> Reader::ReadRole(const RequestFields& fields, int index) const {
  ASSIGN_OR_RETURN(const std::string role, fields.RequiredString("role"));
  if (role == "user") return Role::kUser;
  if (role == "assistant") return Role::kAssistant;
  if (role != "system" && role != "developer") {
    return Invalid(fields.PathOf("role"),
                   absl::StrCat("\"", role.substr(0, 32), "\" is not system, developer, user or assistant"));
  }
  if (index > 0) return Invalid(fields.PathOf("role"), "only the first message may be the system's");
  return Role::kSystem;
}

absl::Status Reader::ReadMessage(json& value, int index) {
  const std::string path = absl::StrCat("messages[", index, "]");
  ASSIGN_OR_RETURN(const RequestFields fields, RequestFields::Of(value, path));
  Message message;
  ASSIGN_OR_RETURN(message.role, ReadRole(fields, index));
  for (const char* key : {"tool_calls", "function_call", "audio"}) {
    if (fields.Find(key) != nullptr) return Invalid(fields.PathOf(key), "is not supported");
  }
  const std::string content_path = fields.PathOf("content");
  json* content = fields.Find("content");
  if (content == nullptr) return Invalid(content_path, "is missing");
  if (content->is_string()) {
    RETURN_IF_ERROR(CountPart(content_path));
    message.parts.emplace_back(std::move(content->get_ref<std::string&>()));
  } else if (content->is_array()) {
    if (content->empty()) return Invalid(content_path, "has no part");
    for (size_t i = 0; i < content->size(); ++i) {
      RETURN_IF_ERROR(ReadPart((*content)[i], absl::StrCat(content_path, "[", i, "]"), message));
    }
  } else {
    return Invalid(content_path,
                   absl::StrCat("is ", KindOf(*content), ", not a string or an array of parts"));
  }
  result_.messages.push_back(std::move(message));
  return absl::OkStatus();
}

absl::Status Reader::ReadPart(json& value, const std::string& path, Message& message) {
  RETURN_IF_ERROR(CountPart(path));
  ASSIGN_OR_RETURN(RequestFields part, RequestFields::Of(value, path));
  ASSIGN_OR_RETURN(const std::string type, part.RequiredString("type"));
  if (type == "text") {
    ASSIGN_OR_RETURN(std::string text, part.RequiredString("text"));
    message.parts.emplace_back(std::move(text));
    return absl::OkStatus();
  }
  if (type == "image_url") return ReadPicture(part, path, message);
  return Invalid(part.PathOf("type"), absl::StrCat("\"", type.substr(0, 32), "\" is not text or image_url"));
}

absl::Status Reader::ReadPicture(RequestFields& part, const std::string& path, Message& message) {
  if (message.role != Role::kUser) return Invalid(path, "pictures belong in the user's messages");
  if (std::ssize(result_.pictures) == limits_.max_images)
    return Invalid(path,
                   absl::StrCat("at most ", limits_.max_images, " pictures per request (--max_images)"));
  json* image = part.Find("image_url");
  if (image == nullptr) return Invalid(part.PathOf("image_url"), "is missing");
  ASSIGN_OR_RETURN(const RequestFields fields, RequestFields::Of(*image, part.PathOf("image_url")));
  ASSIGN_OR_RETURN(const std::string url, fields.RequiredString("url"));
  ASSIGN_OR_RETURN(Picture picture, ReadImageUrl(fields.PathOf("url"), url));
  result_.pictures.push_back(std::move(picture));
  message.parts.emplace_back(ImagePart{});
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Conversation> ReadConversation(json* messages, const chat::RequestLimits& limits) {
  if (messages == nullptr) return Invalid("messages", "is missing");
  if (!messages->is_array())
    return Invalid("messages", absl::StrCat("is ", KindOf(*messages), ", not an array"));
  if (messages->empty()) return Invalid("messages", "at least one is needed");
  if (messages->size() > static_cast<size_t>(limits.max_messages))
    return Invalid("messages", absl::StrCat("at most ", limits.max_messages, " messages"));
  Reader reader(limits);
  int index = 0;
  for (json& message : *messages) RETURN_IF_ERROR(reader.ReadMessage(message, index++));
  Conversation conversation = reader.result();
  if (conversation.messages.back().role != Role::kUser)
    return Invalid(absl::StrCat("messages[", index - 1, "].role"), "the last message must be the user's");
  return conversation;
}

}  // namespace varserve::openai
