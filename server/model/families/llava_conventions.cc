#include "server/model/families/llava_conventions.h"

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"
#include "server/base/json_fields.h"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"
#include "server/model/dimensions.h"

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

std::vector<int> ReadLlavaFeatureLayers(JsonFields& fields, int num_hidden_layers, int fallback) {
  constexpr char kKey[] = "vision_feature_layer";
  const int64_t states = num_hidden_layers + 1;
  std::vector<int> layers;
  for (const int64_t layer : fields.Ints(kKey, {fallback})) {
    if (layer < -states || layer >= states) {
      fields.FailWithValue(
          kKey, absl::StrCat(layer, " is not one of the ", states, " hidden states of the vision tower"));
    }
    layers.push_back(static_cast<int>(layer < 0 ? layer + states : layer));
  }
  if (layers.empty()) fields.FailWithValue(kKey, "which names no layer");
  return layers;
}

int32_t ReadImageTokenId(JsonFields& fields, int vocab_size, int32_t fallback) {
  constexpr char kKey[] = "image_token_id";
  const int64_t id = fields.Int(kKey, fallback, 0, kMostOfAnything);
  if (id >= vocab_size) {
    fields.Fail(kKey, absl::StrCat("is ", id, ", not below text_config.vocab_size, ", vocab_size));
  }
  return static_cast<int32_t>(id);
}

int32_t ReadLlavaImageToken(JsonFields& fields, int vocab_size, int32_t fallback) {
  const int64_t index = fields.Int("image_token_index", fallback, 0, kMostOfAnything);
  const int64_t id = fields.Int("image_token_id", index, 0, kMostOfAnything);
  if (id >= vocab_size) {
    fields.Fail(fields.Has("image_token_id") ? "image_token_id" : "image_token_index",
                absl::StrCat("is ", id, ", not below text_config.vocab_size, ", vocab_size));
  }
  return static_cast<int32_t>(id);
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

absl::Status CheckNumTokens(const std::filesystem::path& model_dir, int height, int width, int expected) {
  ASSIGN_OR_RETURN(const nlohmann::json json, ReadModelJsonIfAny(model_dir, kProcessorFile));
  JsonFields fields(json, kProcessorFile, JsonFields::Null::kAbsent);
  const std::string strategy = fields.String("vision_feature_select_strategy", "");
  const int64_t added = fields.Int("num_additional_image_tokens", 0, 0, kMostOfAnything);
  if (!fields.Has("patch_size")) return fields.status();
  const int64_t patch_size = fields.Int("patch_size", 1, 1, kMostOfAnything);
  const int64_t tokens =
      (height / patch_size) * (width / patch_size) + added - (strategy == "default" ? 1 : 0);
  if (tokens != expected) {
    fields.Fail("patch_size",
                absl::StrCat("is ", patch_size, ", which with num_additional_image_tokens ", added,
                             " and vision_feature_select_strategy \"", strategy, "\" makes ", tokens,
                             " tokens of a picture; by config.json there are ", expected));
  }
  return fields.status();
}

void CheckTileTokens(JsonFields& processor, const char* key, int64_t fallback, int expected) {
  const int64_t tokens = processor.Int(key, fallback, 1, kMostOfAnything);
  if (tokens != expected) {
    processor.Fail(key, absl::StrCat("is ", tokens, ", but by config.json a tile has ", expected, " tokens"));
  }
}

absl::Status CheckOneSize(int max_image_tokens, const char* family) {
  if (max_image_tokens <= 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--max_image_tokens: all images of a ", family,
                   " model have the same number of tokens; leave the flag out"));
}

absl::Status CheckImageSeqLength(const std::filesystem::path& model_dir, const char* key, int64_t fallback,
                                 int expected, JsonFields::Null null) {
  ASSIGN_OR_RETURN(const nlohmann::json json, ReadModelJsonIfAny(model_dir, kProcessorFile));
  JsonFields fields(json, kProcessorFile, null);
  CheckTileTokens(fields, key, fallback, expected);
  return fields.status();
}

}  // namespace varserve::model
