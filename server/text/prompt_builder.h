// Turns a conversation into the model's prompt: renders the chat template, tokenizes the text and gives every
// image its visual tokens. The ids are those of transformers' processor for the same conversation. What a
// caller writes is only text: "<image>" or "</s>" in it are these characters, never an image placeholder or a
// special token. Thread-safe.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/base/prompt.h"
#include "server/text/chat_template.h"
#include "server/text/message.h"
#include "server/text/tokenizer.h"

namespace varserve::text {

// What the chat template writes for an image, and what the prompt has in its place: the tokens of the image's
// layout, with any text tokens before and after them.
struct ImagePlaceholder {
  int32_t token_id = 0;
  int least_tokens = 0;  // of a layout
  std::optional<int32_t> start_token;
  std::optional<int32_t> end_token;

  int num_tokens_around() const { return (start_token ? 1 : 0) + (end_token ? 1 : 0); }
};

class PromptBuilder {
 public:
  // Tokenizer and template outlive the builder. `vocabulary` is the number of tokens the model knows.
  PromptBuilder(const Tokenizer* tokenizer, const ChatTemplate* chat_template,
                const ImagePlaceholder& placeholder, int vocabulary)
      : tokenizer_(tokenizer), template_(chat_template), placeholder_(placeholder), vocabulary_(vocabulary) {}

  // Whether a prompt of this conversation may fit a context of `context` tokens, by its sizes alone. It
  // cannot if its images fill the context, if its text has more bytes than the rest of the context filled
  // with the longest piece of the vocabulary, or if it has more messages and parts than the context has
  // tokens. INVALID_ARGUMENT naming `images`, `messages`, or the one text that is too long,
  // `messages[1].parts[0].text`.
  absl::Status CheckText(absl::Span<const Message> messages, size_t num_images, int context) const;

  // The prompt's tokens, with one placeholder for each image; of more than `most`, the first most + 1.
  // INVALID_ARGUMENT naming `messages` if the template refuses the conversation, its text is not valid UTF-8,
  // or it has a token that the model does not know. Time and memory grow with the size of the text alone.
  absl::StatusOr<std::vector<int32_t>> TokenIds(absl::Span<const Message> messages, int64_t most) const;

  // `images` are those of the ImageParts, in order. Errors of TokenIds; INVALID_ARGUMENT naming `messages` if
  // the prompt leaves no room for one more token in the context, and `images` if the template shows more or
  // fewer of them.
  absl::StatusOr<Prompt> Build(absl::Span<const Message> messages,
                               absl::Span<const std::shared_ptr<const ProcessedImage>> images,
                               int context = std::numeric_limits<int>::max()) const;

 private:
  const Tokenizer* tokenizer_;
  const ChatTemplate* template_;
  ImagePlaceholder placeholder_;
  int vocabulary_;
};

}  // namespace varserve::text
