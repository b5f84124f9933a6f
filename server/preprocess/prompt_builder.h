// Turns a conversation into the model's prompt: renders the chat template, tokenizes the text and gives every
// image its visual tokens. The ids are those of transformers' processor for the same conversation. What a
// caller wrote is only text, though: "<image>" or "</s>" in it are these characters, never an image
// placeholder or special token. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/base/prompt.h"
#include "server/preprocess/chat_template.h"
#include "server/preprocess/message.h"
#include "server/preprocess/tokenizer.h"

namespace varserve::preprocess {

// How an image appears in the prompt: num_tokens times its placeholder; the last rows x cols of them are a
// grid.
struct ImageLayout {
  int32_t token_id = 0;
  int num_tokens = 0;
  int rows = 0;
  int cols = 0;
};

class PromptBuilder {
 public:
  // Tokenizer and template outlive the builder.
  PromptBuilder(const Tokenizer* tokenizer, const ChatTemplate* chat_template,
                const ImageLayout& image_layout)
      : tokenizer_(tokenizer), template_(chat_template), image_layout_(image_layout) {}

  // `images` are those of the ImageParts, in order. INVALID_ARGUMENT naming `messages` if the template
  // refuses the conversation or its text is not valid UTF-8, and `images` if the template shows more or fewer
  // of them.
  absl::StatusOr<Prompt> Build(absl::Span<const Message> messages,
                               absl::Span<const std::shared_ptr<const ProcessedImage>> images) const;

 private:
  const Tokenizer* tokenizer_;
  const ChatTemplate* template_;
  ImageLayout image_layout_;
};

}  // namespace varserve::preprocess
