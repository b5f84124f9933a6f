#include "server/preprocess/prompt_builder.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/base/status_macros.h"
#include "server/preprocess/text_marks.h"

namespace varserve::preprocess {
namespace {

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
        return absl::Status(offsets.status().code(), absl::StrFormat("messages[%d].parts[%d].text: %s", i, j,
                                                                     offsets.status().message()));
      }
      *text = AddMarks(*text, *offsets);
    }
  }
  return marked;
}

// As transformers' processor does: a template that writes BOS itself gets no second one.
bool StartsWithBos(const Tokenizer& tokenizer, const UnmarkedText& prompt_text) {
  const auto bos = tokenizer.named_tokens().find("bos_token");
  if (bos == tokenizer.named_tokens().end() || !absl::StartsWith(prompt_text.text, bos->second)) return false;
  return prompt_text.offsets.empty() || prompt_text.offsets.front() >= bos->second.size();
}

// Replaces each placeholder by an image's visual tokens.
absl::StatusOr<Prompt> PlaceImages(const std::vector<int32_t>& token_ids, const ImageLayout& layout,
                                   absl::Span<const std::shared_ptr<const ProcessedImage>> images) {
  Prompt prompt;
  prompt.images.assign(images.begin(), images.end());
  prompt.token_ids.reserve(token_ids.size() + images.size() * layout.num_tokens);
  for (const int32_t id : token_ids) {
    if (id != layout.token_id) {
      prompt.token_ids.push_back(id);
      continue;
    }
    const int begin = prompt.size();
    prompt.token_ids.insert(prompt.token_ids.end(), layout.num_tokens, id);
    prompt.spans.push_back({begin, prompt.size(), layout.rows, layout.cols});
  }
  if (prompt.spans.size() != images.size()) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "images: the model's chat template places %d of the %d images of this conversation; send "
        "images only where the template has them (see Model.chat_template)",
        prompt.spans.size(), images.size()));
  }
  return prompt;
}

}  // namespace

absl::StatusOr<Prompt> PromptBuilder::Build(
    absl::Span<const Message> messages,
    absl::Span<const std::shared_ptr<const ProcessedImage>> images) const {
  ASSIGN_OR_RETURN(const std::vector<Message> marked, MarkMessages(*tokenizer_, messages));
  ASSIGN_OR_RETURN(const std::string rendered, template_->Render(marked, tokenizer_->named_tokens()));
  const UnmarkedText prompt_text = TakeMarks(rendered);

  const absl::StatusOr<std::vector<int32_t>> token_ids =
      tokenizer_->Encode(prompt_text.text, {.protected_offsets = prompt_text.offsets,
                                            .add_special_tokens = !StartsWithBos(*tokenizer_, prompt_text)});
  if (!token_ids.ok()) {
    return absl::Status(token_ids.status().code(), absl::StrCat("messages: ", token_ids.status().message()));
  }
  return PlaceImages(*token_ids, image_layout_, images);
}

}  // namespace varserve::preprocess
