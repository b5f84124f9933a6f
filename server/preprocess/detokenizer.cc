#include "server/preprocess/detokenizer.h"

#include "absl/strings/match.h"
#include "server/base/status_macros.h"

namespace varserve::preprocess {
namespace {

constexpr char kReplacementCharacter[] = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace

absl::StatusOr<std::string> Detokenizer::Add(int32_t id) {
  const TokenKind kind = tokenizer_->Kind(id);
  if (kind == TokenKind::kSpecial || kind == TokenKind::kUnknown) return "";
  window_.push_back(id);
  // One invalid byte makes a whole run of byte tokens invalid, so no part of a run is final before its end.
  if (kind == TokenKind::kByte) return "";
  return TakeNewText();
}

absl::StatusOr<std::string> Detokenizer::Finish() {
  ASSIGN_OR_RETURN(const std::string text, tokenizer_->Decode(window_, /*skip_special_tokens=*/true));
  return text.substr(known_text_.size());
}

absl::StatusOr<std::string> Detokenizer::TakeNewText() {
  ASSIGN_OR_RETURN(const std::string text, tokenizer_->Decode(window_, /*skip_special_tokens=*/true));
  // A replacement character at the end is, as a rule, a character whose last bytes are still to come.
  if (text.size() <= known_text_.size() || absl::EndsWith(text, kReplacementCharacter)) return "";
  std::string new_text = text.substr(known_text_.size());
  window_.erase(window_.begin(), window_.begin() + static_cast<ptrdiff_t>(num_known_));
  num_known_ = window_.size();
  ASSIGN_OR_RETURN(known_text_, tokenizer_->Decode(window_, /*skip_special_tokens=*/true));
  return new_text;
}

}  // namespace varserve::preprocess
