#include "server/text/tokenizer.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"
#include "server/text/ffi_call.h"

namespace varserve::text {
namespace {

constexpr char kTokenizerFile[] = "tokenizer.json";
constexpr char kConfigFile[] = "tokenizer_config.json";
constexpr size_t kOrdinaryTokenBytes = 8;  // of texts that people write, a token takes less

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
    const absl::string_view problem = tokenizer.status().message();
    const bool is_named = absl::StartsWith(problem, kConfigFile);
    return absl::FailedPreconditionError(is_named ? std::string(problem)
                                                  : absl::StrCat(kTokenizerFile, ": ", problem));
  }
  return tokenizer;
}

absl::StatusOr<Tokenizer> Tokenizer::Parse(absl::string_view tokenizer_json, absl::string_view config_json,
                                           int32_t placeholder_id) {
  ASSIGN_OR_RETURN(TfTokenizer* const loaded,
                   FfiCall<TfTokenizer*>(tf_tokenizer_load, ToText(tokenizer_json), ToText(config_json),
                                         static_cast<uint32_t>(placeholder_id)));
  Tokenizer tokenizer(loaded);
  ASSIGN_OR_RETURN(tokenizer.longest_piece_, FfiCall<size_t>(tf_tokenizer_longest_piece, loaded));
  ASSIGN_OR_RETURN(const TfString named_tokens, FfiCall<TfString>(tf_tokenizer_named_tokens, loaded));
  // The crate writes strings by name and nothing else.
  tokenizer.named_tokens_ = nlohmann::json::parse(TakeString(named_tokens));
  return tokenizer;
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(absl::string_view text,
                                                       const EncodeOptions& options) const {
  // A text much too long is known to be so by its beginning: what is refused costs about as much as the
  // longest text that is not. A cut changes the tokens around it only.
  EncodeOptions beginning = options;
  beginning.max_tokens += longest_piece_;
  for (size_t size = kOrdinaryTokenBytes * (options.max_tokens + 1); size < text.size(); size *= 4) {
    while (size < text.size() && (text[size] & 0xC0) == 0x80) ++size;  // not inside a character
    ASSIGN_OR_RETURN(std::vector<int32_t> ids, EncodeAll(text.substr(0, size), beginning));
    if (ids.size() <= beginning.max_tokens) continue;
    ids.resize(options.max_tokens + 1);
    return ids;
  }
  return EncodeAll(text, options);
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::EncodeAll(absl::string_view text,
                                                          const EncodeOptions& options) const {
  ASSIGN_OR_RETURN(
      const TfIds ids,
      FfiCall<TfIds>(tf_tokenizer_encode, tokenizer_.get(), ToText(text), options.protected_offsets.data(),
                     options.protected_offsets.size(), options.add_special_tokens, options.max_tokens));
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

std::string Tokenizer::TokenText(int32_t id) const {
  // Decoders are sequences of steps that look at a whole text, so it takes a text: the token twice, less
  // once.
  const int32_t twice[] = {id, id};
  const std::string once = Decode({&id, 1}, /*skip_special_tokens=*/false).value_or("");
  const std::string text = Decode(twice, /*skip_special_tokens=*/false).value_or("");
  return absl::StartsWith(text, once) ? text.substr(once.size()) : once;
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

}  // namespace varserve::text
