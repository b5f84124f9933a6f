// Reads the fields of a JSON object in a request. A field that is null counts as absent, as with OpenAI.
// Errors are INVALID_ARGUMENT beginning with the field's path. Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace varserve::openai {

class RequestFields {
 public:
  // `path` of the object, such as "messages[0]"; empty: the request itself. INVALID_ARGUMENT if it is none.
  static absl::StatusOr<RequestFields> Of(nlohmann::json& object, std::string path);

  // Null if the field is absent.
  nlohmann::json* Find(absl::string_view key) const;
  std::string PathOf(absl::string_view key) const;

  absl::StatusOr<std::optional<bool>> Bool(absl::string_view key) const;
  absl::StatusOr<std::optional<double>> Number(absl::string_view key) const;
  absl::StatusOr<std::optional<int64_t>> Integer(absl::string_view key, int64_t low, int64_t high) const;
  absl::StatusOr<std::string> RequiredString(absl::string_view key) const;

 private:
  RequestFields(nlohmann::json* object, std::string path) : object_(object), path_(std::move(path)) {}

  nlohmann::json* object_;
  std::string path_;
};

// "a number", "an object", ...
std::string KindOf(const nlohmann::json& value);

}  // namespace varserve::openai
