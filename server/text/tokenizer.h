// A Hugging Face tokenizer (tokenizer.json, tokenizer_config.json) that turns text into token ids and back,
// with the ids transformers gives. The caller can mark which characters a user wrote, so that they never
// become a special token. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "server/text/tokenizer_ffi/tokenizer_ffi.h"

namespace varserve::text {

// kSpecial: left out of decoded text. kByte: one byte of a character, whose text is known once the run of
// such tokens has ended. kUnknown: no token has this id.
enum class TokenKind : uint8_t { kText, kSpecial, kByte, kUnknown };

class Tokenizer {
 public:
  // `placeholder_id` is the token that represents an image. FAILED_PRECONDITION or NOT_FOUND naming the file.
  static absl::StatusOr<Tokenizer> Load(const std::filesystem::path& model_dir, int32_t placeholder_id);

  // `config_json` may be empty.
  static absl::StatusOr<Tokenizer> Parse(absl::string_view tokenizer_json, absl::string_view config_json,
                                         int32_t placeholder_id);

  struct EncodeOptions {
    // Byte offsets, ascending, of characters that must not become part of a special token or image
    // placeholder.
    absl::Span<const uint32_t> protected_offsets;
    // Adds what the tokenizer's post-processor adds: BOS, EOS or nothing.
    bool add_special_tokens = false;
    // Of a longer text, the first max_tokens + 1 are returned; the rest costs nothing.
    size_t max_tokens = std::numeric_limits<uint32_t>::max();
  };
  // INVALID_ARGUMENT if the text is not valid UTF-8.
  absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text, const EncodeOptions& options) const;

  // Offsets to protect so that no part of `text` becomes a special token or image placeholder, wherever the
  // text is put. Ordinary text has none. INVALID_ARGUMENT if the text is not valid UTF-8.
  absl::StatusOr<std::vector<uint32_t>> SpecialOffsets(absl::string_view text) const;

  // Text of the ids. What is not valid UTF-8 becomes U+FFFD, unknown ids become nothing.
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids, bool skip_special_tokens) const;

  // What one token adds to a text: with the space that some decoders drop at the start of a text. Special
  // tokens are their names, unknown ids are nothing.
  std::string TokenText(int32_t id) const;

  TokenKind Kind(int32_t id) const;
  std::optional<std::string> IdToToken(int32_t id) const;
  std::optional<int32_t> TokenToId(absl::string_view token) const;

  // Number of tokens, added ones included.
  int vocabulary_size() const;

  // The most bytes of text that one token can represent; white space that an added token takes with it and
  // what a normalizer removes do not count.
  size_t longest_piece() const { return longest_piece_; }

  // Special tokens by name: "bos_token", "eos_token", ...
  const std::map<std::string, std::string>& named_tokens() const { return named_tokens_; }

 private:
  struct Free {
    void operator()(TfTokenizer* tokenizer) const { tf_tokenizer_free(tokenizer); }
  };

  explicit Tokenizer(TfTokenizer* tokenizer) : tokenizer_(tokenizer) {}

  absl::StatusOr<std::vector<int32_t>> EncodeAll(absl::string_view text, const EncodeOptions& options) const;

  std::unique_ptr<TfTokenizer, Free> tokenizer_;
  std::map<std::string, std::string> named_tokens_;
  size_t longest_piece_ = 1;
};

}  // namespace varserve::text
