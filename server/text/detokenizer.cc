#include "server/text/detokenizer.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "server/base/status_macros.h"

namespace varserve::text {
namespace {

constexpr absl::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD
constexpr size_t kLongWindow = 64;                                   // tokens
constexpr size_t kShortWindow = 8;                                   // more tokens than a character has bytes

// Bytes of the UTF-8 character that `text` begins with: 0 if it is not there to its end, -1 if it is none.
int CharacterSize(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  const int size = lead < 0x80   ? 1
                   : lead < 0xC2 ? -1
                   : lead < 0xE0 ? 2
                   : lead < 0xF0 ? 3
                   : lead < 0xF5 ? 4
                                 : -1;
  for (int i = 1; i < size; ++i) {
    if (i == static_cast<int>(text.size())) return 0;
    // Second bytes that would make an overlong form, a surrogate or a number beyond Unicode.
    const uint8_t least = i > 1 ? 0x80 : lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t most = i > 1 ? 0xBF : lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (byte(i) < least || byte(i) > most) return -1;
  }
  return size;
}

}  // namespace

absl::StatusOr<std::string> Detokenizer::Add(int32_t id) {
  const TokenKind kind = tokenizer_->Kind(id);
  if (kind == TokenKind::kSpecial || kind == TokenKind::kUnknown) return "";
  window_.push_back(id);
  if (kind == TokenKind::kByte) {
    RETURN_IF_ERROR(AddByte(id));
    return "";
  }
  run_.clear();
  run_characters_ = 0;
  run_is_text_ = true;
  return TakeNewText();
}

absl::string_view Detokenizer::held() const {
  return run_is_text_ && run_characters_ == run_.size() ? absl::string_view(run_) : "";
}

absl::StatusOr<std::string> Detokenizer::Finish() {
  ASSIGN_OR_RETURN(const std::string text, tokenizer_->Decode(window_, /*skip_special_tokens=*/true));
  return text.substr(std::min(known_size_, text.size()));
}

absl::Status Detokenizer::AddByte(int32_t id) {
  const std::string token = tokenizer_->IdToToken(id).value_or("");  // <0x0A>
  uint32_t byte = 0;
  if (!absl::SimpleHexAtoi(absl::string_view(token).substr(3, 2), &byte)) {
    return absl::InternalError("tokenizer: a byte token names no byte");
  }
  // A decoder may drop a space at the start of a text.
  if (byte == ' ' && window_.size() == 1 &&
      tokenizer_->Decode(window_, /*skip_special_tokens=*/true).value_or("").empty()) {
    return absl::OkStatus();
  }
  run_.push_back(static_cast<char>(byte));
  if (!run_is_text_) return absl::OkStatus();
  const int size = CharacterSize(absl::string_view(run_).substr(run_characters_));
  run_is_text_ = size >= 0;
  if (size > 0) run_characters_ = run_.size();
  return absl::OkStatus();
}

absl::StatusOr<std::string> Detokenizer::TakeNewText() {
  ASSIGN_OR_RETURN(const std::string text, tokenizer_->Decode(window_, /*skip_special_tokens=*/true));
  // A replacement character at the end is, as a rule, a character whose last bytes are still to come.
  const bool is_cut = absl::EndsWith(text, kReplacementCharacter);
  const size_t end = text.size() - (is_cut ? kReplacementCharacter.size() : 0);
  if (end <= known_size_) return "";
  std::string new_text = text.substr(known_size_, end - known_size_);
  known_size_ = end;
  if (is_cut) {
    RETURN_IF_ERROR(ShortenWindow(text));
    return new_text;
  }
  window_.erase(window_.begin(), window_.begin() + static_cast<ptrdiff_t>(num_known_));
  num_known_ = window_.size();
  ASSIGN_OR_RETURN(const std::string known, tokenizer_->Decode(window_, /*skip_special_tokens=*/true));
  known_size_ = known.size();
  return new_text;
}

absl::Status Detokenizer::ShortenWindow(absl::string_view text) {
  if (window_.size() < kLongWindow) return absl::OkStatus();
  std::vector<int32_t> last(window_.end() - kShortWindow, window_.end());
  ASSIGN_OR_RETURN(const std::string last_text, tokenizer_->Decode(last, /*skip_special_tokens=*/true));
  const size_t not_known = text.size() - known_size_;
  if (!absl::EndsWith(text, last_text) || last_text.size() < not_known) return absl::OkStatus();
  window_ = std::move(last);
  num_known_ = 0;
  known_size_ = last_text.size() - not_known;
  return absl::OkStatus();
}

}  // namespace varserve::text
