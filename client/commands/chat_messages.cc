#include "client/commands/chat_messages.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace varserve::cli {
namespace {

using Json = nlohmann::json;
using ReadImage = absl::FunctionRef<absl::StatusOr<std::string>(const std::string&)>;

absl::Status Invalid(absl::string_view place, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(place, ": ", problem));
}

// The member, if it is a string.
std::optional<std::string> Text(const Json& object, const char* member) {
  const auto it = object.find(member);
  if (it == object.end() || !it->is_string()) return std::nullopt;
  return it->get<std::string>();
}

absl::Status ReadPart(const std::string& place, const Json& json, ReadImage read_image, v1::Part& part) {
  const std::optional<std::string> type = json.is_object() ? Text(json, "type") : std::nullopt;
  if (type == "text") {
    const std::optional<std::string> text = Text(json, "text");
    if (!text.has_value()) return Invalid(place, "has no \"text\"");
    part.set_text(*text);
    return absl::OkStatus();
  }
  if (type == "image") {
    const std::optional<std::string> path = Text(json, "path");
    if (!path.has_value()) return Invalid(place, "has no \"path\" of a picture");
    absl::StatusOr<std::string> image = read_image(*path);
    if (!image.ok()) return Invalid(place, image.status().message());
    part.mutable_image()->set_data(*std::move(image));
    return absl::OkStatus();
  }
  return Invalid(place, "is not an object whose \"type\" is \"text\" or \"image\"");
}

absl::Status ReadMessage(const std::string& place, const Json& json, ReadImage read_image,
                         v1::Message& message) {
  const std::optional<std::string> role = json.is_object() ? Text(json, "role") : std::nullopt;
  if (role == "system") {
    message.set_role(v1::ROLE_SYSTEM);
  } else if (role == "user") {
    message.set_role(v1::ROLE_USER);
  } else if (role == "assistant") {
    message.set_role(v1::ROLE_ASSISTANT);
  } else {
    return Invalid(place, "is not an object whose \"role\" is \"system\", \"user\" or \"assistant\"");
  }
  const auto content = json.find("content");
  if (content != json.end() && content->is_string()) {
    message.add_parts()->set_text(content->get<std::string>());
    return absl::OkStatus();
  }
  if (content == json.end() || !content->is_array()) {
    return Invalid(place, "has no \"content\" that is a string or an array");
  }
  for (size_t i = 0; i < content->size(); ++i) {
    const std::string part_place = absl::StrCat(place, ".content[", i, "]");
    absl::Status status = ReadPart(part_place, (*content)[i], read_image, *message.add_parts());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<google::protobuf::RepeatedPtrField<v1::Message>> ParseMessages(absl::string_view json,
                                                                              ReadImage read_image) {
  const Json parsed = Json::parse(json, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_array()) return Invalid("messages", "the input is not a JSON array of messages");
  google::protobuf::RepeatedPtrField<v1::Message> messages;
  for (size_t i = 0; i < parsed.size(); ++i) {
    absl::Status status =
        ReadMessage(absl::StrCat("messages[", i, "]"), parsed[i], read_image, *messages.Add());
    if (!status.ok()) return status;
  }
  return messages;
}

}  // namespace varserve::cli
