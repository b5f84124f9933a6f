// Reads the fields of a JSON object, each with a type, a range and a default. Remembers the first error, so
// that a caller can read a whole configuration and check the status once. The JSON must outlive this object.
// Thread-compatible.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace varserve {

// `value` as JSON for messages, shortened if it is long.
std::string ShortText(const nlohmann::json& value);

class JsonFields {
 public:
  // Whether a null field is an error or takes the default.
  enum class Null : uint8_t { kWrong, kAbsent };

  // `file` begins every message. Anything but an object counts as an empty object.
  JsonFields(const nlohmann::json& object, const std::string& file, Null null = Null::kWrong);

  // Whether the field is present and not null.
  bool Has(const char* key) const;
  bool IsNull(const char* key) const;
  // The field, or nullptr if it is absent. If null is not allowed, a null field is an error and counts as
  // absent.
  const nlohmann::json* Find(const char* key);

  int64_t Int(const char* key, int64_t fallback, int64_t low, int64_t high);
  // Any number; integers are accepted.
  double Number(const char* key, double fallback, double low, double high);
  bool Bool(const char* key, bool fallback);
  std::string String(const char* key, const std::string& fallback);
  // One of the `supported` strings.
  std::string Choice(const char* key, const std::string& fallback,
                     std::initializer_list<absl::string_view> supported);
  // An integer or a list of integers.
  std::vector<int64_t> Ints(const char* key, const std::vector<int64_t>& fallback);
  // An object; empty if absent or null. Its errors are recorded in this object's status.
  JsonFields Object(const char* key);
  // Fails unless the field is absent or equals `neutral`, the value that has no effect.
  void Neutral(const char* key, const nlohmann::json& neutral);

  // Records the error "FILE: PATH.KEY PROBLEM" unless there already is one.
  void Fail(const char* key, absl::string_view problem);
  // Like Fail, including the field's value: "FILE: PATH.KEY is VALUE, PROBLEM".
  void FailWithValue(const char* key, absl::string_view problem);

  // FAILED_PRECONDITION with the first error of this object or of another object of the same file.
  const absl::Status& status() const { return *status_; }

 private:
  JsonFields(const nlohmann::json& object, std::string prefix, Null null,
             std::shared_ptr<absl::Status> status);

  const nlohmann::json& object_;
  const std::string prefix_;  // "FILE: PATH."
  const Null null_;
  const std::shared_ptr<absl::Status> status_;
};

}  // namespace varserve
