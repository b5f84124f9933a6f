// Turns the token ids of one answer into text as they come. Text is handed out once it is final: it is valid
// UTF-8, never part of a character, and all of it joined equals Tokenizer::Decode of all ids without special
// tokens. Thread-compatible.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/preprocess/tokenizer.h"

namespace varserve::preprocess {

class Detokenizer {
 public:
  // `tokenizer` outlives the detokenizer.
  explicit Detokenizer(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}

  // The text that became final with this token; often empty.
  absl::StatusOr<std::string> Add(int32_t id);

  // The text still held back when the answer has ended; nothing may be added afterwards.
  absl::StatusOr<std::string> Finish();

 private:
  absl::StatusOr<std::string> TakeNewText();

  const Tokenizer* tokenizer_;
  // A decoder's text can depend on the token before (a leading space is dropped at the very start only), so
  // decoding starts with the last tokens already handed out: window_[0, num_known_), whose text is
  // known_text_.
  std::vector<int32_t> window_;
  size_t num_known_ = 0;
  std::string known_text_;
};

}  // namespace varserve::preprocess
