// Reads the fields of a JSON object, each with a type, a range and a default, and remembers the first thing
// that was wrong, so that a whole configuration is read first and checked once. The JSON outlives this
// object. Thread-compatible.
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

// `value` as JSON for messages, cut where it is long.
std::string ShortText(const nlohmann::json& value);

class JsonFields {
 public:
  // What a field that is null means: an error, or the default.
  enum class Null : uint8_t { kWrong, kAbsent };

  // `file` begins every message. Anything but an object reads as empty.
  JsonFields(const nlohmann::json& object, const std::string& file, Null null = Null::kWrong);

  // There and not null.
  bool Has(const char* key) const;
  bool IsNull(const char* key) const;
  // The field, or nullptr where it is absent. Null where null is wrong is an error and absent.
  const nlohmann::json* Find(const char* key);

  int64_t Int(const char* key, int64_t fallback, int64_t low, int64_t high);
  // Any number, 1 like 1.0.
  double Number(const char* key, double fallback, double low, double high);
  bool Bool(const char* key, bool fallback);
  std::string String(const char* key, const std::string& fallback);
  // One of the strings that are supported.
  std::string Choice(const char* key, const std::string& fallback,
                     std::initializer_list<absl::string_view> supported);
  // An integer or a list of integers.
  std::vector<int64_t> Ints(const char* key, const std::vector<int64_t>& fallback);
  // An object; empty if it is absent or null. What is wrong in it is remembered here.
  JsonFields Object(const char* key);
  // Fails unless the field is absent or `neutral`, the value that changes nothing.
  void Neutral(const char* key, const nlohmann::json& neutral);

  // Records an error, "FILE: PATH.KEY PROBLEM", unless there is one.
  void Fail(const char* key, absl::string_view problem);
  // Fail, with the field's value: "FILE: PATH.KEY is VALUE, PROBLEM".
  void FailWithValue(const char* key, absl::string_view problem);

  // FAILED_PRECONDITION with the first problem of this object, or of any other object of the same file.
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
