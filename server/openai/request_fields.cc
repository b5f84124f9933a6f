#include "server/openai/request_fields.h"

#include "absl/strings/str_cat.h"
#include "server/base/field_error.h"

namespace varserve::openai {

using nlohmann::json;

std::string KindOf(const json& value) {
  const std::string name = value.type_name();
  if (value.is_null()) return name;
  return absl::StrCat(value.is_array() || value.is_object() ? "an " : "a ", name);
}

absl::StatusOr<RequestFields> RequestFields::Of(json& object, std::string path) {
  if (!object.is_object())
    return Invalid(path.empty() ? "request" : path, absl::StrCat("is ", KindOf(object), ", not an object"));
  return RequestFields(&object, std::move(path));
}

std::string RequestFields::PathOf(absl::string_view key) const {
  return path_.empty() ? std::string(key) : absl::StrCat(path_, ".", key);
}

json* RequestFields::Find(absl::string_view key) const {
  const auto it = object_->find(std::string(key));
  return it == object_->end() || it->is_null() ? nullptr : &*it;
}

absl::StatusOr<std::optional<bool>> RequestFields::Bool(absl::string_view key) const {
  const json* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean())
    return Invalid(PathOf(key), absl::StrCat("is ", KindOf(*value), ", not true or false"));
  return value->get<bool>();
}

absl::StatusOr<std::optional<double>> RequestFields::Number(absl::string_view key) const {
  const json* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return Invalid(PathOf(key), absl::StrCat("is ", KindOf(*value), ", not a number"));
  return value->get<double>();
}

absl::StatusOr<std::optional<int64_t>> RequestFields::Integer(absl::string_view key, int64_t low,
                                                              int64_t high) const {
  const json* value = Find(key);
  if (value == nullptr) return std::nullopt;
  const bool fits =
      value->is_number_integer() &&
      (!value->is_number_unsigned() || value->get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
  if (!fits || value->get<int64_t>() < low || value->get<int64_t>() > high) {
    return Invalid(PathOf(key), absl::StrCat("is ", value->is_number() ? value->dump() : KindOf(*value),
                                             ", not an integer of ", low, " to ", high));
  }
  return value->get<int64_t>();
}

absl::StatusOr<std::string> RequestFields::RequiredString(absl::string_view key) const {
  json* value = Find(key);
  if (value == nullptr) return Invalid(PathOf(key), "is missing");
  if (!value->is_string()) return Invalid(PathOf(key), absl::StrCat("is ", KindOf(*value), ", not a string"));
  return std::move(value->get_ref<std::string&>());
}

}  // namespace varserve::openai
