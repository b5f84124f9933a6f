// Images in prompts, and prompts that are too long.
#include "server/text/prompt_builder.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/text/prompt_builder_fixture.h"

namespace varserve::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class PromptBuilderTest : public PromptBuilderFixture {};

TEST_P(PromptBuilderTest, GivesEveryImageTheTokensOfItsLayout) {
  const int32_t image = image_token_id_;
  std::vector<std::shared_ptr<const ProcessedImage>> images;
  for (const auto& layout : {varserve::testing::MakeLayoutWithNewlines(2, 2, image),
                             varserve::testing::MakeLayout(1, 1, 1, image)}) {
    images.push_back(std::make_shared<const ProcessedImage>(ProcessedImage{.layout = layout}));
  }
  const absl::StatusOr<Prompt> prompt =
      builder_->Build({{Role::kUser, {ImagePart(), "one", ImagePart()}}}, images);
  ASSERT_TRUE(prompt.ok()) << prompt.status();
  ASSERT_EQ(prompt->spans.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    const ImageSpan& span = prompt->spans[i];
    EXPECT_EQ(span.layout, images[i]->layout);
    EXPECT_EQ(
        std::vector<int32_t>(prompt->token_ids.begin() + span.begin, prompt->token_ids.begin() + span.end),
        images[i]->layout->token_ids);
  }
  const ImageSpan& last = prompt->spans[prompt->spans[1].begin == prompt->spans[0].end ? 1 : 0];
  EXPECT_EQ(prompt->prefix_size(), last.end) << "newlines are part of the image";
  // The context leaves room for one token more.
  EXPECT_TRUE(
      builder_->Build({{Role::kUser, {ImagePart(), "one", ImagePart()}}}, images, prompt->size() + 1).ok());
  EXPECT_FALSE(
      builder_->Build({{Role::kUser, {ImagePart(), "one", ImagePart()}}}, images, prompt->size()).ok());
}

TEST_P(PromptBuilderTest, GivesEveryImageItsVisualTokens) {
  const absl::StatusOr<Prompt> prompt =
      Build({{Role::kUser, {ImagePart(), "one", ImagePart()}}, {Role::kUser, {"more", ImagePart()}}}, 3);
  ASSERT_TRUE(prompt.ok()) << prompt.status();
  ASSERT_EQ(prompt->spans.size(), 3u);
  EXPECT_EQ(prompt->images.size(), 3u);
  int last_end = 0;
  for (const ImageSpan& span : prompt->spans) {
    EXPECT_GE(span.begin, last_end);
    EXPECT_EQ(span.end - span.begin, 7);
    EXPECT_EQ(span.layout->rows, 2);
    EXPECT_EQ(span.layout->cols, 3);
    for (int i = span.begin; i < span.end; ++i) EXPECT_EQ(prompt->token_ids[i], image_token_id_);
    last_end = span.end;
  }
  EXPECT_EQ(std::count(prompt->token_ids.begin(), prompt->token_ids.end(), image_token_id_), 21);
}

// Of families whose template writes only the placeholder.
TEST_P(PromptBuilderTest, PutsTokensAroundImages) {
  builder_ = std::make_unique<PromptBuilder>(
      &tokenizer_, template_.back().get(),
      ImagePlaceholder{.token_id = image_token_id_, .least_tokens = 7, .start_token = 10, .end_token = 11},
      vocabulary_);
  const std::vector<Message> messages = {{Role::kUser, {ImagePart(), "one", ImagePart()}}};
  const absl::StatusOr<Prompt> prompt = Build(messages, 2);
  ASSERT_TRUE(prompt.ok()) << prompt.status();
  ASSERT_EQ(prompt->spans.size(), 2u);
  for (const ImageSpan& span : prompt->spans) {
    EXPECT_EQ(span.end - span.begin, 7);
    EXPECT_EQ(prompt->token_ids[span.begin - 1], 10);
    EXPECT_EQ(prompt->token_ids[span.end], 11);
  }
  EXPECT_TRUE(Build(messages, 2, prompt->size() + 1).ok());
  EXPECT_FALSE(Build(messages, 2, prompt->size()).ok());  // no room for an answer
  EXPECT_TRUE(builder_->CheckText(messages, 2, 20).ok());
  EXPECT_FALSE(builder_->CheckText(messages, 2, 18).ok());  // two images of nine tokens
}

TEST_P(PromptBuilderTest, PlaceholdersMustMatchImages) {
  const std::vector<Message> messages = {{Role::kUser, {ImagePart(), "text"}}};
  EXPECT_TRUE(Build(messages, 1).ok());
  for (const size_t num_images : {0, 2}) {
    const absl::Status status = Build(messages, num_images).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), ::testing::StartsWith("images: "));
  }
  SetTemplate("a template without images");
  EXPECT_EQ(Build(messages, 1).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(PromptBuilderTest, RefusesTextThatCannotFitByItsSize) {
  const size_t longest = tokenizer_.longest_piece();
  const auto error = [&](const std::vector<Message>& messages, size_t num_images, int context) {
    const absl::Status status = builder_->CheckText(messages, num_images, context);
    EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  };
  const auto question = [](size_t size) -> Message {
    return {Role::kUser, {ImagePart(), std::string(size, 'a')}};
  };
  EXPECT_EQ(error({question(93 * longest)}, 1, 100), "");
  EXPECT_EQ(
      error({question(93 * longest + 1)}, 1, 100),
      absl::StrCat("messages[0].parts[1].text: ", 93 * longest + 1,
                   " bytes; the model's context of 100 tokens has room for ", 93 * longest, " at most"));
  EXPECT_EQ(error({{Role::kUser, {"hi"}}, question(94 * longest)}, 1, 100).substr(0, 27),
            "messages[1].parts[1].text: ");
  EXPECT_EQ(error({question(50 * longest), question(50 * longest)}, 2, 100),
            absl::StrCat("messages: ", 100 * longest,
                         " bytes of text; the model's context of 100 tokens has room for ", 86 * longest,
                         " at most"));
  EXPECT_EQ(error({question(1)}, 15, 100),
            "images: 105 visual tokens; the model's context of 100 tokens has room for 99 at most");
  EXPECT_EQ(error(std::vector<Message>(50, {Role::kUser, {""}}), 0, 100), "");
  EXPECT_EQ(error(std::vector<Message>(51, {Role::kUser, {""}}), 0, 100),
            "messages: 102 messages and parts; the model's context of 100 tokens has room for 100 at most");
}

TEST_P(PromptBuilderTest, WhatCheckTextRefusesWouldNotHaveFitted) {
  const std::vector<std::string> pieces = {"ab",      " ", "\n", "中", "a", "-", "The quick brown fox ",
                                           "<image>", "é", "0"};
  std::mt19937 random(12);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    const size_t size = random() % 100;
    const std::string& piece = pieces[random() % pieces.size()];
    while (text.size() < size * size) text += random() % 50 == 0 ? pieces[random() % pieces.size()] : piece;
    const std::vector<Message> messages = {{Role::kUser, {ImagePart(), text}}};
    const int prompt = Build(messages, 1)->size();
    for (const int context : {prompt / 2, prompt, prompt + 1}) {
      const bool fits = prompt < context;
      EXPECT_TRUE(!fits || builder_->CheckText(messages, 1, context).ok()) << text;
      EXPECT_EQ(Build(messages, 1, context).ok(), fits) << text;
    }
  }
}

TEST_P(PromptBuilderTest, SaysThatThePromptIsTooLong) {
  const std::vector<Message> messages = {{Role::kUser, {ImagePart(), "What is this?"}}};
  const int prompt = Build(messages, 1)->size();
  EXPECT_EQ(Build(messages, 1, prompt + 1)->size(), prompt);
  for (const int context : {prompt, 8, 1}) {
    EXPECT_EQ(Build(messages, 1, context).status(),
              absl::InvalidArgumentError(
                  absl::StrCat("messages: the prompt leaves no room for an answer in the model's context of ",
                               context, " tokens")));
  }
}

TEST_P(PromptBuilderTest, TokensTheModelDoesNotHaveNeverReachIt) {
  const int32_t pad = *tokenizer_.TokenToId(tokenizer_.named_tokens().at("pad_token"));
  const int32_t word = tokenizer_.Encode("a", {})->front();
  vocabulary_ = word;
  SetTemplate("x{{ messages[0].content[0].text }}");
  const absl::Status status = Build({{Role::kUser, {"a"}}}, 0).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("but the model has only"));
  // The text of a special token is not that token, wherever its id is.
  vocabulary_ = std::max(tokenizer_.vocabulary_size() - 2, word + 1);
  SetTemplate("{{ messages[0].content[0].text }}");
  EXPECT_TRUE(Build({{Role::kUser, {*tokenizer_.IdToToken(pad)}}}, 0).ok());
}

INSTANTIATE_TEST_SUITE_P(All, PromptBuilderTest, ::testing::Values("byte_level", "llama"));

TEST(LlamaPromptBuilderTest, BosStandsOnce) {
  const Tokenizer tokenizer = LoadTestTokenizer("llama");
  const auto first_two = [&](const char* source, const char* text) {
    const absl::StatusOr<ChatTemplate> chat_template = ChatTemplate::Compile(source);
    const Prompt prompt =
        *PromptBuilder(&tokenizer, &*chat_template, {.token_id = *tokenizer.TokenToId("<image>")}, 1 << 20)
             .Build({{Role::kUser, {text}}}, {});
    return std::vector<int32_t>(prompt.token_ids.begin(), prompt.token_ids.begin() + 2);
  };
  const int32_t bos = 1;
  const int32_t word = tokenizer.Encode("a", {})->front();
  EXPECT_THAT(first_two("{{ messages[0].content[0].text }}", "a b"), ElementsAre(bos, word));
  EXPECT_THAT(first_two("{{ bos_token }}{{ messages[0].content[0].text }}", "a b"), ElementsAre(bos, word));
  // A user who writes "<s>" first does not take the tokenizer's away.
  EXPECT_THAT(first_two("{{ messages[0].content[0].text }}", "<s>a b"), ElementsAre(bos, ::testing::Ne(bos)));
}

}  // namespace
}  // namespace varserve::text
