#include "server/base/json_fields.h"

#include <limits>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace varserve {
namespace {

using nlohmann::json;

constexpr size_t kMaxShown = 60;  // bytes of a value in a message

const json& EmptyObject() {
  static const json empty = json::object();
  return empty;
}

// Unsigned numbers count as integers; those above the int64 range would wrap.
bool IsInt64(const json& value) {
  if (!value.is_number_integer()) return false;
  return !value.is_number_unsigned() ||
         value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
}

}  // namespace

std::string ShortText(const json& value) {
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
  if (text.size() > kMaxShown) text.replace(kMaxShown, std::string::npos, "...");
  return text;
}

JsonFields::JsonFields(const json& object, const std::string& file, Null null)
    : JsonFields(object, absl::StrCat(file, ": "), null, std::make_shared<absl::Status>()) {}

JsonFields::JsonFields(const json& object, std::string prefix, Null null,
                       std::shared_ptr<absl::Status> status)
    : object_(object.is_object() ? object : EmptyObject()),
      prefix_(std::move(prefix)),
      null_(null),
      status_(std::move(status)) {}

bool JsonFields::Has(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && !found->is_null();
}

bool JsonFields::IsNull(const char* key) const {
  const auto found = object_.find(key);
  return found != object_.end() && found->is_null();
}

const json* JsonFields::Find(const char* key) {
  const auto found = object_.find(key);
  if (found == object_.end()) return nullptr;
  if (!found->is_null()) return &*found;
  if (null_ == Null::kWrong) Fail(key, "is null; give it a value or remove it");
  return nullptr;
}

int64_t JsonFields::Int(const char* key, int64_t fallback, int64_t low, int64_t high) {
  const json* const value = Find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number_integer()) {
    FailWithValue(key, "not an integer");
    return fallback;
  }
  const int64_t number = IsInt64(*value) ? value->get<int64_t>() : std::numeric_limits<int64_t>::max();
  if (!IsInt64(*value) || number < low || number > high) {
    FailWithValue(key, absl::StrCat("not in [", low, ", ", high, "]"));
    return fallback;
  }
  return number;
}

double JsonFields::Number(const char* key, double fallback, double low, double high) {
  const json* const value = Find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) {
    FailWithValue(key, "not a number");
    return fallback;
  }
  const auto number = value->get<double>();
  if (!(number >= low && number <= high)) {
    FailWithValue(key, absl::StrCat("not in [", low, ", ", high, "]"));
    return fallback;
  }
  return number;
}

bool JsonFields::Bool(const char* key, bool fallback) {
  const json* const value = Find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) {
    FailWithValue(key, "not true or false");
    return fallback;
  }
  return value->get<bool>();
}

std::string JsonFields::String(const char* key, const std::string& fallback) {
  const json* const value = Find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) {
    FailWithValue(key, "not a string");
    return fallback;
  }
  return value->get<std::string>();
}

std::string JsonFields::Choice(const char* key, const std::string& fallback,
                               std::initializer_list<absl::string_view> supported) {
  std::string value = String(key, fallback);
  if (absl::c_linear_search(supported, value)) return value;
  FailWithValue(key, absl::StrCat("which is not supported; supported: ", absl::StrJoin(supported, ", ")));
  return fallback;
}

std::vector<int64_t> JsonFields::Ints(const char* key, const std::vector<int64_t>& fallback) {
  const json* const value = Find(key);
  if (value == nullptr) return fallback;
  std::vector<int64_t> numbers;
  for (const json& item : value->is_array() ? *value : json::array({*value})) {
    if (!IsInt64(item)) {
      FailWithValue(key, "not an integer or a list of integers");
      return fallback;
    }
    numbers.push_back(item.get<int64_t>());
  }
  return numbers;
}

JsonFields JsonFields::Object(const char* key) {
  const json* const value = Has(key) ? &object_.at(key) : &EmptyObject();
  if (!value->is_object()) FailWithValue(key, "not an object");
  return {*value, absl::StrCat(prefix_, key, "."), null_, status_};
}

void JsonFields::Neutral(const char* key, const json& neutral) {
  if (neutral.is_null() && !Has(key)) return;
  const json* const value = Find(key);
  if (value != nullptr && *value != neutral) {
    const std::string only = neutral.is_null() ? "" : absl::StrCat("; only ", ShortText(neutral), " is");
    FailWithValue(key, absl::StrCat("which is not supported", only));
  }
}

void JsonFields::Fail(const char* key, absl::string_view problem) {
  if (status_->ok()) *status_ = absl::FailedPreconditionError(absl::StrCat(prefix_, key, " ", problem));
}

void JsonFields::FailWithValue(const char* key, absl::string_view problem) {
  const auto found = object_.find(key);
  const std::string value = found == object_.end() ? "absent" : ShortText(*found);
  Fail(key, absl::StrCat("is ", value, ", ", problem));
}

}  // namespace varserve
