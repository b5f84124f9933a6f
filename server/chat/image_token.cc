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
constexpr char kTokenizerFile[] = "tokenizer_config.json";

absl::Status CheckImageToken(const std::filesystem::path& model_dir, const text::Tokenizer& tokenizer,
                             const ImageToken& image_token) {
  ASSIGN_OR_RETURN(const nlohmann::json json, ReadModelJsonIfAny(model_dir, kFile));
  JsonFields fields(json, kFile, JsonFields::Null::kAbsent);
  const std::string own = fields.String("image_token", image_token.text);
  const auto named = tokenizer.named_tokens().find(image_token.name);
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

// The id of a token that tokenizer_config.json names.
absl::StatusOr<int32_t> NamedToken(const text::Tokenizer& tokenizer, const char* name) {
  const auto named = tokenizer.named_tokens().find(name);
  if (named == tokenizer.named_tokens().end()) {
    return absl::FailedPreconditionError(absl::StrCat(kTokenizerFile, ": ", name, " is missing"));
  }
  const std::optional<int32_t> id = tokenizer.TokenToId(named->second);
  if (id.has_value()) return *id;
  return absl::FailedPreconditionError(
      absl::StrCat(kTokenizerFile, ": ", name, " is \"", named->second, "\", not a token of tokenizer.json"));
}

}  // namespace

absl::StatusOr<text::ImagePlaceholder> FindImagePlaceholder(const std::filesystem::path& model_dir,
                                                            const text::Tokenizer& tokenizer,
                                                            const ImageToken& image_token) {
  text::ImagePlaceholder placeholder{.token_id = image_token.id};
  if (image_token.text[0] != '\0') {
    RETURN_IF_ERROR(CheckImageToken(model_dir, tokenizer, image_token));
  } else {
    ASSIGN_OR_RETURN(const int32_t id, NamedToken(tokenizer, image_token.name));
    if (id != image_token.id) {
      return absl::FailedPreconditionError(absl::StrCat(kTokenizerFile, ": ", image_token.name, " is token ",
                                                        id, ", but config.json's image token is ",
                                                        image_token.id));
    }
  }
  if (image_token.start_name[0] != '\0') {
    ASSIGN_OR_RETURN(placeholder.start_token, NamedToken(tokenizer, image_token.start_name));
  }
  if (image_token.end_name[0] != '\0') {
    ASSIGN_OR_RETURN(placeholder.end_token, NamedToken(tokenizer, image_token.end_name));
  }
  return placeholder;
}

}  // namespace varserve::chat
