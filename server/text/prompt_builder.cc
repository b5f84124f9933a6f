#include "server/text/prompt_builder.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/status_macros.h"
#include "server/text/text_marks.h"

namespace varserve::text {
namespace {

std::string TextField(size_t message, size_t part) {
  return absl::StrFormat("messages[%d].parts[%d].text", message, part);
}

// The conversation with marks on the characters that could otherwise become special tokens.
absl::StatusOr<std::vector<Message>> MarkMessages(const Tokenizer& tokenizer,
                                                  absl::Span<const Message> messages) {
  std::vector<Message> marked(messages.begin(), messages.end());
  for (size_t i = 0; i < marked.size(); ++i) {
    for (size_t j = 0; j < marked[i].parts.size(); ++j) {
      std::string* const text = std::get_if<std::string>(&marked[i].parts[j]);
      if (text == nullptr) continue;
      const absl::StatusOr<std::vector<uint32_t>> offsets = tokenizer.SpecialOffsets(*text);
      if (!offsets.ok()) {
        return absl::Status(offsets.status().code(),
                            absl::StrCat(TextField(i, j), ": ", offsets.status().message()));
      }
      *text = AddMarks(*text, *offsets);
    }
  }
  return marked;
}

// What a template says against a conversation may quote it, marks and all, however long it is.
std::string Quotable(absl::string_view message) {
  constexpr size_t kLongMessage = 500;
  std::string text = TakeMarks(message).text;
  if (text.size() <= kLongMessage) return text;
  size_t size = kLongMessage;
  while ((text[size] & 0xC0) == 0x80) --size;  // not inside a character
  return text.substr(0, size) + "...";
}

// As transformers' processor does: a template that writes BOS itself gets no second one.
bool StartsWithBos(const Tokenizer& tokenizer, const UnmarkedText& prompt_text) {
  const auto bos = tokenizer.named_tokens().find("bos_token");
  if (bos == tokenizer.named_tokens().end() || !absl::StartsWith(prompt_text.text, bos->second)) return false;
  return prompt_text.offsets.empty() || prompt_text.offsets.front() >= bos->second.size();
}

// Tokens that a prompt has in addition to those with placeholders.
int64_t AddedTokens(const ImagePlaceholder& placeholder,
                    absl::Span<const std::shared_ptr<const ProcessedImage>> images) {
  int64_t added = 0;
  for (const std::shared_ptr<const ProcessedImage>& image : images) {
    added += image->layout->size() + placeholder.num_tokens_around() - 1;
  }
  return added;
}

// Replaces each placeholder by the tokens of an image.
absl::StatusOr<Prompt> PlaceImages(const std::vector<int32_t>& token_ids, const ImagePlaceholder& placeholder,
                                   absl::Span<const std::shared_ptr<const ProcessedImage>> images) {
  const auto placed =
      static_cast<size_t>(std::count(token_ids.begin(), token_ids.end(), placeholder.token_id));
  if (placed != images.size()) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "images: the model's chat template places %d of the %d images of this conversation; send "
        "images only where the template has them (see Model.chat_template)",
        placed, images.size()));
  }
  Prompt prompt;
  prompt.images.assign(images.begin(), images.end());
  prompt.token_ids.reserve(token_ids.size() + AddedTokens(placeholder, images));
  for (const int32_t id : token_ids) {
    if (id != placeholder.token_id) {
      prompt.token_ids.push_back(id);
      continue;
    }
    if (placeholder.start_token) prompt.token_ids.push_back(*placeholder.start_token);
    const int begin = prompt.size();
    const std::shared_ptr<const ImageLayout>& layout = images[prompt.spans.size()]->layout;
    prompt.token_ids.insert(prompt.token_ids.end(), layout->token_ids.begin(), layout->token_ids.end());
    prompt.spans.push_back({begin, prompt.size(), layout});
    if (placeholder.end_token) prompt.token_ids.push_back(*placeholder.end_token);
  }
  return prompt;
}

absl::Status TooLarge(absl::string_view field, size_t size, absl::string_view unit, size_t most,
                      int context) {
  return absl::InvalidArgumentError(
      absl::StrFormat("%s: %d %s; the model's context of %d tokens has room for %d at most", field, size,
                      unit, context, most));
}

}  // namespace

absl::Status PromptBuilder::CheckText(absl::Span<const Message> messages, size_t num_images,
                                      int context) const {
  const size_t image_tokens = num_images * (placeholder_.least_tokens + placeholder_.num_tokens_around());
  const auto room = static_cast<size_t>(context);
  if (image_tokens >= room) return TooLarge("images", image_tokens, "visual tokens", room - 1, context);

  const size_t most_bytes = (room - image_tokens) * tokenizer_->longest_piece();
  size_t parts = messages.size();
  size_t bytes = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    parts += messages[i].parts.size();
    for (size_t j = 0; j < messages[i].parts.size(); ++j) {
      const std::string* const text = std::get_if<std::string>(&messages[i].parts[j]);
      if (text == nullptr) continue;
      if (text->size() > most_bytes) {
        return TooLarge(TextField(i, j), text->size(), "bytes", most_bytes, context);
      }
      bytes += text->size();
    }
  }
  if (parts > room) return TooLarge("messages", parts, "messages and parts", room, context);
  if (bytes > most_bytes) return TooLarge("messages", bytes, "bytes of text", most_bytes, context);
  return absl::OkStatus();
}

absl::StatusOr<Prompt> PromptBuilder::Build(absl::Span<const Message> messages,
                                            absl::Span<const std::shared_ptr<const ProcessedImage>> images,
                                            int context) const {
  // Tokens before placeholders become images; one must be left to be generated.
  const int64_t most_tokens = int64_t{context} - 1 - AddedTokens(placeholder_, images);
  ASSIGN_OR_RETURN(const std::vector<int32_t> token_ids, TokenIds(messages, most_tokens));
  if (static_cast<int64_t>(token_ids.size()) > most_tokens) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "messages: the prompt leaves no room for an answer in the model's context of %d tokens", context));
  }
  return PlaceImages(token_ids, placeholder_, images);
}

absl::StatusOr<std::vector<int32_t>> PromptBuilder::TokenIds(absl::Span<const Message> messages,
                                                             int64_t most) const {
  UnmarkedText text;
  {
    ASSIGN_OR_RETURN(const std::vector<Message> marked, MarkMessages(*tokenizer_, messages));
    const absl::StatusOr<std::string> rendered = template_->Render(marked);
    if (!rendered.ok()) return absl::Status(rendered.status().code(), Quotable(rendered.status().message()));
    text = TakeMarks(*rendered);
  }
  absl::StatusOr<std::vector<int32_t>> token_ids =
      tokenizer_->Encode(text.text, {.protected_offsets = text.offsets,
                                     .add_special_tokens = !StartsWithBos(*tokenizer_, text),
                                     .max_tokens = static_cast<size_t>(std::max<int64_t>(most, 0))});
  if (!token_ids.ok()) {
    return absl::Status(token_ids.status().code(), absl::StrCat("messages: ", token_ids.status().message()));
  }
  for (const int32_t id : *token_ids) {
    if (id < vocabulary_) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("messages: the tokenizer makes token %d of \"%s\", but the model has only %d tokens",
                        id, tokenizer_->IdToToken(id).value_or(""), vocabulary_));
  }
  return token_ids;
}

}  // namespace varserve::text
