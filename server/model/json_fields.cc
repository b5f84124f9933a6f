#include "server/model/json_fields.h"

#include <fstream>

#include "absl/strings/str_cat.h"

namespace varserve::model {

using nlohmann::json;

JsonFields::JsonFields(const json& object, std::string where)
    : object_(object.is_object() ? object : json::object()), where_(std::move(where)) {}

bool JsonFields::Has(const std::string& key) const {
  return object_.contains(key) && !object_[key].is_null();
}

int64_t JsonFields::Int(const std::string& key, int64_t fallback, int64_t low, int64_t high) {
  if (!Has(key)) return fallback;
  const json& value = object_[key];
  if (!value.is_number_integer()) {
    Fail(key, "is not an integer");
    return fallback;
  }
  const auto number = value.get<int64_t>();
  if (number < low || number > high) {
    Fail(key, absl::StrCat("is ", number, ", not in [", low, ", ", high, "]"));
    return fallback;
  }
  return number;
}

double JsonFields::Double(const std::string& key, double fallback, double low, double high) {
  if (!Has(key)) return fallback;
  const json& value = object_[key];
  if (!value.is_number()) {
    Fail(key, "is not a number");
    return fallback;
  }
  const auto number = value.get<double>();
  if (!(number >= low && number <= high)) {
    Fail(key, absl::StrCat("is ", number, ", not in [", low, ", ", high, "]"));
    return fallback;
  }
  return number;
}

bool JsonFields::Bool(const std::string& key, bool fallback) {
  if (!Has(key)) return fallback;
  if (!object_[key].is_boolean()) {
    Fail(key, "is not true or false");
    return fallback;
  }
  return object_[key].get<bool>();
}

std::string JsonFields::String(const std::string& key, const std::string& fallback) {
  if (!Has(key)) return fallback;
  if (!object_[key].is_string()) {
    Fail(key, "is not a string");
    return fallback;
  }
  return object_[key].get<std::string>();
}

std::vector<int64_t> JsonFields::Ints(const std::string& key, const std::vector<int64_t>& fallback) {
  if (!Has(key)) return fallback;
  const json& value = object_[key];
  std::vector<int64_t> numbers;
  for (const json& item : value.is_array() ? value : json::array({value})) {
    if (!item.is_number_integer()) {
      Fail(key, "is not an integer or a list of integers");
      return fallback;
    }
    numbers.push_back(item.get<int64_t>());
  }
  return numbers;
}

json JsonFields::Object(const std::string& key) {
  if (!Has(key)) return json::object();
  if (!object_[key].is_object()) {
    Fail(key, "is not an object");
    return json::object();
  }
  return object_[key];
}

void JsonFields::Fail(const std::string& key, const std::string& problem) {
  if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrCat(where_, ": ", key, " ", problem));
}

absl::StatusOr<json> ReadJsonFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": no such file, or not readable"));
  json parsed = json::parse(file, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return absl::InvalidArgumentError(absl::StrCat(path, ": is not a JSON object"));
  return parsed;
}

}  // namespace varserve::model
