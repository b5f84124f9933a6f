#include "server/chat/image_token.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/json_fields.h"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"

namespace varserve::chat {
namespace {

constexpr char kFile[] = "processor_config.json";

}  // namespace

absl::Status CheckImageToken(const std::filesystem::path& model_dir, const text::Tokenizer& tokenizer,
                             const ImageToken& image_token) {
  absl::StatusOr<nlohmann::json> json = ReadModelJson(model_dir, kFile);
  if (absl::IsNotFound(json.status())) json = nlohmann::json::object();
  RETURN_IF_ERROR(json.status());
  JsonFields fields(*json, kFile, JsonFields::Null::kAbsent);
  const std::string own = fields.String("image_token", image_token.text);
  const auto named = tokenizer.named_tokens().find("image_token");
  const bool has_name = named != tokenizer.named_tokens().end();
  const std::string& token = has_name ? named->second : own;
  const std::optional<int32_t> id = tokenizer.TokenToId(token);
  if (id != image_token.id) {
    fields.Fail("image_token", absl::StrCat("is \"", token, "\"", has_name ? " by tokenizer_config.json" : "",
                                            id.has_value() ? absl::StrCat(", token ", *id)
                                                           : ", not a token of tokenizer.json",
                                            ", but config.json's image token is ", image_token.id, " (\"",
                                            tokenizer.IdToToken(image_token.id).value_or("no token"), "\")"));
  }
  return fields.status();
}

}  // namespace varserve::chat
