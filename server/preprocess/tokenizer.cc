#include "server/preprocess/tokenizer.h"

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"
#include "server/preprocess/ffi_call.h"

namespace varserve::preprocess {
namespace {

constexpr char kTokenizerFile[] = "tokenizer.json";
constexpr char kConfigFile[] = "tokenizer_config.json";

}  // namespace

absl::StatusOr<Tokenizer> Tokenizer::Load(const std::filesystem::path& model_dir, int32_t placeholder_id) {
  ASSIGN_OR_RETURN(const std::string tokenizer_json, ReadModelFile(model_dir, kTokenizerFile));
  absl::StatusOr<std::string> config_json = ReadModelFile(model_dir, kConfigFile);
  if (!config_json.ok() && !absl::IsNotFound(config_json.status())) return config_json.status();
  if (config_json.ok()) {
    RETURN_IF_ERROR(ParseJsonObject(kConfigFile, *config_json).status());
  }
  absl::StatusOr<Tokenizer> tokenizer = Parse(tokenizer_json, config_json.value_or(""), placeholder_id);
  if (!tokenizer.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(kTokenizerFile, ": ", tokenizer.status().message()));
  }
  return tokenizer;
}

absl::StatusOr<Tokenizer> Tokenizer::Parse(absl::string_view tokenizer_json, absl::string_view config_json,
                                           int32_t placeholder_id) {
  ASSIGN_OR_RETURN(TfTokenizer* const tokenizer,
                   FfiCall<TfTokenizer*>(tf_tokenizer_load, ToText(tokenizer_json), ToText(config_json),
                                         static_cast<uint32_t>(placeholder_id)));
  return Tokenizer(tokenizer);
}

Tokenizer::Tokenizer(TfTokenizer* tokenizer) : tokenizer_(tokenizer) {
  if (const absl::StatusOr<TfString> json = FfiCall<TfString>(tf_tokenizer_named_tokens, tokenizer);
      json.ok()) {
    named_tokens_ = nlohmann::json::parse(TakeString(*json));
  }
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(absl::string_view text,
                                                       const EncodeOptions& options) const {
  ASSIGN_OR_RETURN(
      const TfIds ids,
      FfiCall<TfIds>(tf_tokenizer_encode, tokenizer_.get(), ToText(text), options.protected_offsets.data(),
                     options.protected_offsets.size(), options.add_special_tokens));
  const std::vector<uint32_t> values = TakeIds(ids);
  return std::vector<int32_t>(values.begin(), values.end());
}

absl::StatusOr<std::vector<uint32_t>> Tokenizer::SpecialOffsets(absl::string_view text) const {
  ASSIGN_OR_RETURN(const TfIds offsets,
                   FfiCall<TfIds>(tf_tokenizer_special_offsets, tokenizer_.get(), ToText(text)));
  return TakeIds(offsets);
}

absl::StatusOr<std::string> Tokenizer::Decode(absl::Span<const int32_t> ids, bool skip_special_tokens) const {
  const std::vector<uint32_t> values(ids.begin(), ids.end());
  ASSIGN_OR_RETURN(const TfString text, FfiCall<TfString>(tf_tokenizer_decode, tokenizer_.get(),
                                                          values.data(), values.size(), skip_special_tokens));
  return TakeString(text);
}

TokenKind Tokenizer::Kind(int32_t id) const {
  const absl::StatusOr<TfTokenKind> kind =
      FfiCall<TfTokenKind>(tf_tokenizer_token_kind, tokenizer_.get(), static_cast<uint32_t>(id));
  return kind.ok() ? static_cast<TokenKind>(*kind) : TokenKind::kUnknown;
}

std::optional<std::string> Tokenizer::IdToToken(int32_t id) const {
  const absl::StatusOr<TfString> token =
      FfiCall<TfString>(tf_tokenizer_id_to_token, tokenizer_.get(), static_cast<uint32_t>(id));
  if (!token.ok()) return std::nullopt;
  return TakeString(*token);
}

std::optional<int32_t> Tokenizer::TokenToId(absl::string_view token) const {
  const absl::StatusOr<uint32_t> id =
      FfiCall<uint32_t>(tf_tokenizer_token_to_id, tokenizer_.get(), ToText(token));
  if (!id.ok()) return std::nullopt;
  return static_cast<int32_t>(*id);
}

int Tokenizer::vocabulary_size() const {
  const absl::StatusOr<size_t> size = FfiCall<size_t>(tf_tokenizer_vocabulary_size, tokenizer_.get());
  return size.ok() ? static_cast<int>(*size) : 0;
}

}  // namespace varserve::preprocess
