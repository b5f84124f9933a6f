#include "server/chat/processor_config.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/json_fields.h"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"

namespace varserve::chat {
namespace {

constexpr char kFile[] = "processor_config.json";
constexpr int64_t kMany = 1 << 20;

// The first file that names a processor decides, as in transformers.
absl::Status CheckProcessorClass(const std::filesystem::path& model_dir) {
  constexpr char kKey[] = "processor_class";
  for (const char* file : {kFile, "preprocessor_config.json", "tokenizer_config.json"}) {
    const absl::StatusOr<nlohmann::json> json = ReadModelJson(model_dir, file);
    if (absl::IsNotFound(json.status())) continue;
    if (!json.ok()) return json.status();
    JsonFields fields(*json, file, JsonFields::Null::kAbsent);
    if (!fields.Has(kKey)) continue;
    fields.Choice(kKey, "", {"LlavaProcessor"});
    return fields.status();
  }
  return absl::OkStatus();
}

void CheckImageToken(JsonFields& fields, const text::Tokenizer& tokenizer, const text::ImageLayout& layout) {
  const std::string own = fields.String("image_token", "<image>");
  const auto named = tokenizer.named_tokens().find("image_token");
  const bool has_name = named != tokenizer.named_tokens().end();
  const std::string& token = has_name ? named->second : own;
  const std::optional<int32_t> id = tokenizer.TokenToId(token);
  if (id == layout.token_id) return;
  fields.Fail("image_token",
              absl::StrCat("is \"", token, "\"", has_name ? " by tokenizer_config.json" : "",
                           id.has_value() ? absl::StrCat(", token ", *id) : ", not a token of tokenizer.json",
                           ", but config.json: image_token_index is ", layout.token_id, " (\"",
                           tokenizer.IdToToken(layout.token_id).value_or("no token"), "\")"));
}

void CheckNumTokens(JsonFields& fields, const image::ImageProcessor& image_processor,
                    const text::ImageLayout& layout) {
  const std::string strategy = fields.String("vision_feature_select_strategy", "");
  const int64_t added = fields.Int("num_additional_image_tokens", 0, 0, kMany);
  if (!fields.Has("patch_size")) return;
  const int64_t patch_size = fields.Int("patch_size", 1, 1, kMany);
  const int64_t num_tokens =
      (image_processor.height() / patch_size) * (image_processor.width() / patch_size) + added -
      (strategy == "default" ? 1 : 0);
  if (num_tokens == layout.num_tokens) return;
  fields.Fail("patch_size",
              absl::StrCat("is ", patch_size, ", which with num_additional_image_tokens ", added,
                           " and vision_feature_select_strategy \"", strategy, "\" makes ", num_tokens,
                           " tokens of a picture; by config.json there are ", layout.num_tokens));
}

}  // namespace

absl::Status CheckProcessorConfig(const std::filesystem::path& model_dir,
                                  const image::ImageProcessor& image_processor,
                                  const text::Tokenizer& tokenizer, const text::ImageLayout& layout) {
  RETURN_IF_ERROR(CheckProcessorClass(model_dir));
  absl::StatusOr<nlohmann::json> json = ReadModelJson(model_dir, kFile);
  if (absl::IsNotFound(json.status())) json = nlohmann::json::object();
  RETURN_IF_ERROR(json.status());
  JsonFields fields(*json, kFile, JsonFields::Null::kAbsent);
  CheckImageToken(fields, tokenizer, layout);
  CheckNumTokens(fields, image_processor, layout);
  return fields.status();
}

}  // namespace varserve::chat
