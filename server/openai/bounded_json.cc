#include "server/openai/bounded_json.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/field_error.h"

namespace varserve::openai {
namespace {

using nlohmann::json;

// Builds values as the parser finds them; false ends the parsing.
class Builder : public nlohmann::json_sax<json> {
 public:
  json& root() { return root_; }
  const std::string& problem() const { return problem_; }

  bool null() override { return Add(nullptr) != nullptr; }
  bool boolean(bool value) override { return Add(value) != nullptr; }
  bool number_integer(number_integer_t value) override { return Add(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) override { return Add(value) != nullptr; }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return Add(value) != nullptr; }
  bool string(string_t& value) override { return Add(std::move(value)) != nullptr; }
  bool binary(binary_t& /*value*/) override { return false; }  // JSON has none
  bool start_object(std::size_t /*elements*/) override { return Open(json::object()); }
  bool start_array(std::size_t /*elements*/) override { return Open(json::array()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& value) override {
    key_ = std::move(value);
    return true;
  }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const json::exception& /*error*/) override {
    problem_ = absl::StrCat("is not JSON from byte ", position, " on");
    return false;
  }

 private:
  // Where the value lies; null if it is one too many.
  json* Add(json value) {
    if (++values_ > kMaxJsonValues) {
      problem_ = absl::StrCat("holds more than ", kMaxJsonValues, " values");
      return nullptr;
    }
    if (open_.empty()) return &(root_ = std::move(value));
    json& outer = *open_.back();
    if (outer.is_object()) return &(outer[key_] = std::move(value));
    outer.push_back(std::move(value));
    return &outer.back();
  }
  bool Open(json value) {
    if (open_.size() == kMaxJsonDepth) {
      problem_ = absl::StrCat("nests deeper than ", kMaxJsonDepth, " levels");
      return false;
    }
    json* const inner = Add(std::move(value));
    if (inner != nullptr) open_.push_back(inner);
    return inner != nullptr;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }

  json root_;
  std::vector<json*> open_;  // from the root to the innermost; an outer one does not grow meanwhile
  std::string key_;
  int values_ = 0;
  std::string problem_;
};

}  // namespace

absl::StatusOr<json> ParseJson(absl::string_view text) {
  Builder builder;
  if (!json::sax_parse(text.begin(), text.end(), &builder)) return Invalid("request", builder.problem());
  return std::move(builder.root());
}

}  // namespace varserve::openai
