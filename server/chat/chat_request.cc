#include "server/chat/chat_request.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "server/base/field_error.h"
#include "server/base/status_macros.h"

namespace varserve::chat {
namespace {

using text::ImagePart;
using text::Message;
using text::Role;

absl::Status AddPicture(const std::string& field, const v1::Image& image, Message& message,
                        ChatRequest& chat) {
  if (image.has_sha256()) {
    const std::string name = absl::StrCat(field, ".sha256");
    const std::optional<Digest> digest = DigestFromHex(image.sha256());
    if (!digest.has_value()) return Invalid(name, "is not the 64 hexadecimal digits of a picture's SHA-256");
    chat.pictures.push_back({name, nullptr, *digest});
  } else {
    if (image.data().empty())
      return Invalid(absl::StrCat(field, ".data"), "is empty; send the bytes of a JPEG, PNG or WebP");
    chat.pictures.push_back({absl::StrCat(field, ".data"), &image.data()});
  }
  message.parts.emplace_back(ImagePart{});
  return absl::OkStatus();
}

absl::StatusOr<Role> RoleOf(const std::string& field, v1::Role role) {
  switch (role) {
    case v1::ROLE_SYSTEM:
      return Role::kSystem;
    case v1::ROLE_USER:
      return Role::kUser;
    case v1::ROLE_ASSISTANT:
      return Role::kAssistant;
    default:
      return Invalid(absl::StrCat(field, ".role"), "must be ROLE_SYSTEM, ROLE_USER or ROLE_ASSISTANT");
  }
}

// Of the request's two fields, `var` and `intervention`.
template <typename Request>
absl::StatusOr<ChatRequest::Setting> SettingOf(const Request& request) {
  if (!request.has_intervention()) return ChatRequest::Setting{.attention = {"var", &request.var()}};
  if (request.has_var())
    return Invalid("intervention", "must not be set together with var; it can hold VAR as well");
  return MethodsOf("intervention", request.intervention());
}

// The member of a oneof that is set.
ChatRequest::Method MemberOf(absl::string_view field, const v1::Intervention& intervention,
                             const google::protobuf::OneofDescriptor& oneof) {
  const google::protobuf::Reflection& reflection = *intervention.GetReflection();
  const auto* method = reflection.GetOneofFieldDescriptor(intervention, &oneof);
  if (method == nullptr) return {};
  return {absl::StrCat(field, ".", method->name()), &reflection.GetMessage(intervention, method)};
}

}  // namespace

absl::StatusOr<ChatRequest::Setting> MethodsOf(absl::string_view field,
                                               const v1::Intervention& intervention) {
  const google::protobuf::Descriptor& type = *v1::Intervention::descriptor();
  ChatRequest::Setting setting{.attention = MemberOf(field, intervention, *type.FindOneofByName("method")),
                               .contrast = MemberOf(field, intervention, *type.FindOneofByName("contrast"))};
  if (setting.attention.options != nullptr || setting.contrast.options != nullptr) return setting;
  std::vector<absl::string_view> names;
  for (int i = 0; i < type.field_count(); ++i) names.push_back(type.field(i)->name());
  return Invalid(
      field, absl::StrCat("has none of the methods that this server knows: ", absl::StrJoin(names, ", ")));
}

absl::StatusOr<ChatRequest> ReadChat(const v1::AnswerRequest& request) {
  ChatRequest chat{.options = &request.options(), .text_field = "question", .images_field = "images"};
  ASSIGN_OR_RETURN(chat.settings.emplace_back(), SettingOf(request));
  if (request.images().empty()) return Invalid("images", "at least one is needed");
  if (absl::StripAsciiWhitespace(request.question()).empty()) return Invalid("question", "is empty");
  Message message;
  for (int i = 0; i < request.images_size(); ++i) {
    RETURN_IF_ERROR(AddPicture(absl::StrCat("images[", i, "]"), request.images(i), message, chat));
  }
  message.parts.emplace_back(request.question());
  chat.messages.push_back(std::move(message));
  return chat;
}

absl::StatusOr<ChatRequest> ReadChat(const v1::CaptionRequest& request) {
  ChatRequest chat{.options = &request.options(), .text_field = "image", .images_field = "image"};
  ASSIGN_OR_RETURN(chat.settings.emplace_back(), SettingOf(request));
  if (!request.has_image()) return Invalid("image", "is missing");
  Message message;
  RETURN_IF_ERROR(AddPicture("image", request.image(), message, chat));
  switch (request.length()) {
    case v1::CAPTION_LENGTH_SHORT:
      message.parts.emplace_back("Describe the image briefly.");
      break;
    case v1::CAPTION_LENGTH_UNSPECIFIED:
    case v1::CAPTION_LENGTH_MEDIUM:
      message.parts.emplace_back("Describe the image.");
      break;
    case v1::CAPTION_LENGTH_LONG:
      message.parts.emplace_back("Describe the image in detail.");
      break;
    default:
      return Invalid("length", absl::StrCat(static_cast<int>(request.length()), " is not a CaptionLength"));
  }
  chat.messages.push_back(std::move(message));
  return chat;
}

absl::StatusOr<ChatRequest> ReadChat(const v1::GenerateRequest& request) {
  ChatRequest chat{.options = &request.options(), .text_field = "messages", .images_field = "messages"};
  ASSIGN_OR_RETURN(chat.settings.emplace_back(), SettingOf(request));
  if (request.messages().empty()) return Invalid("messages", "at least one is needed");
  for (int i = 0; i < request.messages_size(); ++i) {
    const v1::Message& from = request.messages(i);
    const std::string field = absl::StrCat("messages[", i, "]");
    Message message;
    ASSIGN_OR_RETURN(message.role, RoleOf(field, from.role()));
    if (message.role == Role::kSystem && i > 0) {
      return Invalid(absl::StrCat(field, ".role"), "only the first message may be ROLE_SYSTEM");
    }
    if (from.parts().empty()) return Invalid(absl::StrCat(field, ".parts"), "at least one is needed");
    for (int j = 0; j < from.parts_size(); ++j) {
      const v1::Part& part = from.parts(j);
      const std::string part_field = absl::StrCat(field, ".parts[", j, "]");
      switch (part.part_case()) {
        case v1::Part::kText:
          message.parts.emplace_back(part.text());
          break;
        case v1::Part::kImage:
          if (message.role != Role::kUser) return Invalid(part_field, "images belong in ROLE_USER messages");
          RETURN_IF_ERROR(AddPicture(absl::StrCat(part_field, ".image"), part.image(), message, chat));
          break;
        case v1::Part::PART_NOT_SET:
          return Invalid(part_field, "has neither text nor image");
      }
    }
    chat.messages.push_back(std::move(message));
  }
  if (chat.messages.back().role != Role::kUser) {
    return Invalid(absl::StrCat("messages[", request.messages_size() - 1, "].role"),
                   "the last message must be ROLE_USER");
  }
  return chat;
}

absl::StatusOr<ChatRequest> ReadChat(const v1::CompareRequest& request) {
  if (!request.has_request()) return Invalid("request", "is missing");
  if (request.request().has_var())
    return Invalid("request.var", "must not be set; settings say how to run the prompt");
  if (request.request().has_intervention()) {
    return Invalid("request.intervention", "must not be set; interventions say how to run the prompt");
  }
  const bool any_methods = request.interventions_size() > 0;
  if (any_methods && request.settings_size() > 0)
    return Invalid("interventions", "must not be set together with settings; they can hold VAR as well");
  const int number = any_methods ? request.interventions_size() : request.settings_size();
  if (number < 1 || number > kMaxSettings) {
    return Invalid(any_methods ? "interventions" : "settings",
                   absl::StrCat(number, " of them, not 1 to ", kMaxSettings));
  }
  absl::StatusOr<ChatRequest> chat = ReadChat(request.request());
  if (!chat.ok()) return Prefixed("request.", chat.status());
  chat->settings.clear();
  for (int i = 0; i < request.settings_size(); ++i)
    chat->settings.push_back({.attention = {absl::StrCat("settings[", i, "]"), &request.settings(i)}});
  for (int i = 0; i < request.interventions_size(); ++i) {
    ASSIGN_OR_RETURN(chat->settings.emplace_back(),
                     MethodsOf(absl::StrCat("interventions[", i, "]"), request.interventions(i)));
  }
  for (ChatRequest::Picture& picture : chat->pictures)
    picture.field = absl::StrCat("request.", picture.field);
  chat->options_field = "request.options";
  chat->text_field = "request.messages";
  chat->images_field = "request.messages";
  return chat;
}

absl::Status InRequest(const ChatRequest& chat, const absl::Status& status) {
  absl::string_view message = status.message();
  if (absl::ConsumePrefix(&message, "images"))
    return Prefixed(chat.images_field, absl::Status(status.code(), message));
  if (!absl::ConsumePrefix(&message, "messages")) return status;
  // If the conversation is one field, there are no messages to name.
  if (!absl::EndsWith(chat.text_field, "messages"))
    message.remove_prefix(std::min(message.find(':'), message.size()));
  return absl::Status(status.code(), absl::StrCat(chat.text_field, message));
}

}  // namespace varserve::chat
