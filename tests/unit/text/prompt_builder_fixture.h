// A prompt builder with a small model's tokenizer and chat template, or another template. The parameter names
// the model.
#pragma once

#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/text/prompt_builder.h"
#include "tests/testing/image_span.h"
#include "tests/unit/text/test_models.h"

namespace varserve::text {

class PromptBuilderFixture : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::filesystem::path dir = RepositoryPath("tests/golden/text") / GetParam();
    image_token_id_ = ReadJson(dir / "config.json")["image_token_index"];
    layout_ = testing::MakeLayout(7, 2, 3, image_token_id_);
    SetTemplate(ReadFile(dir / "chat_template.jinja"));
  }

  void SetTemplate(const std::string& source) {
    template_.emplace_back(std::make_unique<ChatTemplate>(*ChatTemplate::Compile(source)));
    builder_ = std::make_unique<PromptBuilder>(&tokenizer_, template_.back().get(),
                                               ImagePlaceholder{image_token_id_, 7}, vocabulary_);
  }

  absl::StatusOr<Prompt> Build(const std::vector<Message>& messages, size_t num_images,
                               int context = std::numeric_limits<int>::max()) {
    std::vector<std::shared_ptr<const ProcessedImage>> images;
    while (images.size() < num_images) {
      images.push_back(std::make_shared<const ProcessedImage>(ProcessedImage{.layout = layout_}));
    }
    return builder_->Build(messages, images, context);
  }

  // The special tokens of a prompt, in order, visual tokens among them.
  std::vector<int32_t> SpecialTokens(const Prompt& prompt) {
    std::vector<int32_t> special;
    for (const int32_t id : prompt.token_ids) {
      if (tokenizer_.Kind(id) == TokenKind::kSpecial) special.push_back(id);
    }
    return special;
  }

  const Tokenizer tokenizer_ = LoadTestTokenizer(GetParam());
  int32_t image_token_id_ = 0;
  std::shared_ptr<const ImageLayout> layout_;
  int vocabulary_ = 1300;  // more than either tokenizer has
  std::vector<std::unique_ptr<const ChatTemplate>> template_;
  std::unique_ptr<const PromptBuilder> builder_;
};

}  // namespace varserve::text
