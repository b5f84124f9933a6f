// Prompts, chat templates and decoded text against what transformers' processor gives (tests/golden).
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/chat/preprocessor.h"
#include "server/text/detokenizer.h"
#include "tests/testing/files.h"
#include "tests/testing/small_preprocessor.h"

namespace varserve::chat {
namespace {

using Json = nlohmann::json;
using text::ChatTemplate;
using text::Detokenizer;
using text::ImagePart;
using text::Message;
using text::Part;
using text::Role;

constexpr int kVisualTokens = 4;   // make_text_goldens.py
constexpr int kVocabulary = 1300;  // more than either tokenizer has

std::vector<Message> ToMessages(const Json& json) {
  static const std::map<std::string, Role> roles = {
      {"system", Role::kSystem}, {"user", Role::kUser}, {"assistant", Role::kAssistant}};
  std::vector<Message> messages;
  for (const Json& message : json) {
    messages.push_back({roles.at(message["role"]), {}});
    for (const Json& part : message["content"]) {
      if (part["type"] == "image") {
        messages.back().parts.emplace_back(ImagePart());
      } else {
        messages.back().parts.emplace_back(part["text"].get<std::string>());
      }
    }
  }
  return messages;
}

int CountImages(absl::Span<const Message> messages) {
  int count = 0;
  for (const Message& message : messages) {
    for (const Part& part : message.parts) count += std::holds_alternative<ImagePart>(part) ? 1 : 0;
  }
  return count;
}

class TextGoldenTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::filesystem::path dir = RepositoryPath("tests/golden/text") / GetParam();
    auto loaded = varserve::testing::LoadPreprocessor(dir, kVocabulary, kVisualTokens);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    preprocessor_ = *std::move(loaded);
    for (Json& golden : prompts_) {
      if (golden["model"] == GetParam()) goldens_.push_back(std::move(golden));
    }
    ASSERT_GT(goldens_.size(), 200u);
  }

  std::unique_ptr<const Preprocessor> preprocessor_;
  Json prompts_ = ReadJson(RepositoryPath("tests/golden/text/prompts.json"));
  std::vector<Json> goldens_;
};

TEST_P(TextGoldenTest, PromptsHaveTheProcessorsIds) {
  const auto image = std::make_shared<const ProcessedImage>(
      ProcessedImage{.layout = preprocessor_->image_processor().smallest().layout});
  for (const Json& golden : goldens_) {
    const std::vector<Message> messages = ToMessages(golden["messages"]);
    const std::vector<std::shared_ptr<const ProcessedImage>> images(CountImages(messages), image);
    const absl::StatusOr<Prompt> prompt = preprocessor_->prompt_builder().Build(messages, images);
    ASSERT_TRUE(prompt.ok()) << prompt.status() << golden["messages"];
    EXPECT_EQ(Json(prompt->token_ids), golden["ids"]) << golden["messages"];
    EXPECT_EQ(prompt->spans.size(), images.size());
  }
}

TEST_P(TextGoldenTest, DecodedIdsAreTransformersText) {
  for (const Json& golden : goldens_) {
    const std::vector<int32_t> ids = golden["ids"];
    const absl::StatusOr<std::string> text =
        preprocessor_->tokenizer().Decode(ids, /*skip_special_tokens=*/true);
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_EQ(*text, golden["text"]);
    Detokenizer detokenizer(&preprocessor_->tokenizer());
    std::string streamed;
    for (const int32_t id : ids) streamed += *detokenizer.Add(id);
    streamed += *detokenizer.Finish();
    EXPECT_EQ(streamed, golden["text"]);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TextGoldenTest, ::testing::Values("byte_level", "llama"));

TEST(ChatTemplateGoldenTest, RendersAsTransformers) {
  const std::map<std::string, std::string> named_tokens = {
      {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
  for (const Json& golden : ReadJson(RepositoryPath("tests/golden/text/templates.json"))) {
    const absl::StatusOr<ChatTemplate> chat_template =
        ChatTemplate::Compile(golden["template"], named_tokens);
    ASSERT_TRUE(chat_template.ok()) << golden["name"] << chat_template.status();
    const absl::StatusOr<std::string> text = chat_template->Render(ToMessages(golden["messages"]));
    if (golden.contains("raised")) {
      EXPECT_EQ(text.status().code(), absl::StatusCode::kInvalidArgument) << golden["name"];
      EXPECT_THAT(std::string(text.status().message()),
                  ::testing::HasSubstr(golden["raised"].get<std::string>()));
    } else {
      ASSERT_TRUE(text.ok()) << golden["name"] << ": " << text.status();
      EXPECT_EQ(*text, golden["text"]) << golden["name"];
    }
  }
}

}  // namespace
}  // namespace varserve::chat
