// Reads fields of a JSON object with a type, a range and a default, and remembers the first thing that was
// wrong, so that a whole configuration is read first and checked once. Thread-compatible.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace varserve::model {

class JsonFields {
 public:
  // `where` names the object in messages, e.g. "config.json: text_config". Anything but an object reads as
  // empty.
  JsonFields(const nlohmann::json& object, std::string where);

  bool Has(const std::string& key) const;  // present and not null
  int64_t Int(const std::string& key, int64_t fallback, int64_t low, int64_t high);
  double Double(const std::string& key, double fallback, double low, double high);
  bool Bool(const std::string& key, bool fallback);
  std::string String(const std::string& key, const std::string& fallback);
  // A number or a list of numbers.
  std::vector<int64_t> Ints(const std::string& key, const std::vector<int64_t>& fallback);
  // An object; empty if absent.
  nlohmann::json Object(const std::string& key);

  // Records an error unless there is one.
  void Fail(const std::string& key, const std::string& problem);
  // INVALID_ARGUMENT with the first problem.
  const absl::Status& status() const { return status_; }

 private:
  nlohmann::json object_;
  std::string where_;
  absl::Status status_;
};

// The JSON object in a file. NOT_FOUND, or INVALID_ARGUMENT with the file's name.
absl::StatusOr<nlohmann::json> ReadJsonFile(const std::string& path);

}  // namespace varserve::model
