#include "server/model/families/llava_conventions.h"

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"
#include "server/base/json_fields.h"
#include "server/base/model_files.h"

namespace varserve::model {

std::string LlavaWeightName(const std::string& stored) {
  absl::string_view name = stored;
  absl::ConsumePrefix(&name, "model.");
  if (absl::ConsumePrefix(&name, "language_model.")) {
    if (absl::StartsWith(name, "lm_head.")) return std::string(name);
    absl::ConsumePrefix(&name, "model.");
    return absl::StrCat("language_model.", name);
  }
  if (absl::ConsumePrefix(&name, "vision_tower.")) {
    absl::ConsumePrefix(&name, "vision_model.");
    return absl::StrCat("vision_tower.", name);
  }
  return std::string(name);
}

absl::Status CheckProcessorClass(const std::filesystem::path& model_dir, const char* supported) {
  constexpr char kKey[] = "processor_class";
  for (const char* file : {kProcessorFile, "preprocessor_config.json", "tokenizer_config.json"}) {
    const absl::StatusOr<nlohmann::json> json = ReadModelJson(model_dir, file);
    if (absl::IsNotFound(json.status())) continue;
    if (!json.ok()) return json.status();
    JsonFields fields(*json, file, JsonFields::Null::kAbsent);
    if (!fields.Has(kKey)) continue;
    fields.Choice(kKey, "", {supported});
    return fields.status();
  }
  return absl::OkStatus();
}

}  // namespace varserve::model
