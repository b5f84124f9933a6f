// Turns the token ids of one answer into text as they arrive. Text is returned once it is final: valid UTF-8,
// never part of a character. All of it joined equals Tokenizer::Decode of all ids without special tokens.
// Thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/text/tokenizer.h"

namespace varserve::text {

class Detokenizer {
 public:
  // `tokenizer` outlives the detokenizer.
  explicit Detokenizer(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}

  // The text that became final with this token; often empty.
  absl::StatusOr<std::string> Add(int32_t id);

  // Text that only becomes final if the answer ends here: the whole characters of a run of byte tokens. A
  // byte that does not complete a character would invalidate the whole run.
  absl::string_view held() const;

  // The text still held back when the answer has ended; nothing may be added afterwards.
  absl::StatusOr<std::string> Finish();

 private:
  absl::Status AddByte(int32_t id);
  absl::StatusOr<std::string> TakeNewText();
  // Keeps the window short if text never becomes final.
  absl::Status ShortenWindow(absl::string_view text);

  const Tokenizer* tokenizer_;
  // A decoder's text can depend on the token before (a leading space is dropped at the very start only), so
  // decoding starts with the last tokens already returned: window_[0, num_known_). Of the window's text,
  // known_size_ bytes were returned.
  std::vector<int32_t> window_;
  size_t num_known_ = 0;
  size_t known_size_ = 0;
  // The bytes of the run of byte tokens at the window's end, and how many of them are whole characters.
  std::string run_;
  size_t run_characters_ = 0;
  bool run_is_text_ = true;
};

}  // namespace varserve::text
