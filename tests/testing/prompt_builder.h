// Makes prompts of text and images without a tokenizer or pixels: PromptBuilder().Text(5).Image(1, 4,
// 4).Build().
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "server/base/prompt.h"
#include "tests/testing/image_span.h"

namespace varserve::testing {

class PromptBuilder {
 public:
  // `count` tokens with ids that depend on `seed`.
  PromptBuilder& Text(int count, int seed = 0) {
    for (int i = 0; i < count; ++i) prompt_.token_ids.push_back(100 + seed * 31 + i % 30);
    return *this;
  }
  PromptBuilder& Tokens(const std::vector<int32_t>& ids) {
    prompt_.token_ids.insert(prompt_.token_ids.end(), ids.begin(), ids.end());
    return *this;
  }
  // A picture of rows x cols visual tokens; equal `picture`, equal content.
  PromptBuilder& Image(uint8_t picture, int rows, int cols) {
    return Image(picture, MakeLayout(rows * cols, rows, cols));
  }
  PromptBuilder& Image(uint8_t picture, const std::shared_ptr<const ImageLayout>& layout) {
    const int begin = prompt_.size();
    prompt_.spans.push_back({.begin = begin, .end = begin + layout->size(), .layout = layout});
    prompt_.token_ids.insert(prompt_.token_ids.end(), layout->token_ids.begin(), layout->token_ids.end());
    auto image = std::make_shared<ProcessedImage>();
    image->digest.fill(picture);
    prompt_.images.push_back(std::move(image));
    return *this;
  }
  std::shared_ptr<const Prompt> Build() const { return std::make_shared<const Prompt>(prompt_); }

 private:
  Prompt prompt_;
};

}  // namespace varserve::testing
