#include "server/chat/preprocessor.h"

#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/image/llava_next_image_processor.h"
#include "tests/testing/files.h"
#include "tests/testing/small_preprocessor.h"
#include "tests/testing/temp_dir.h"

namespace varserve::chat {
namespace {

using ::testing::HasSubstr;
using text::ImagePart;
using text::Role;

class PreprocessorTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::copy(RepositoryPath("tests/golden/text/llama"), dir_); }

  absl::StatusOr<std::unique_ptr<const Preprocessor>> Load() const {
    return varserve::testing::LoadPreprocessor(dir_, vocabulary_);
  }
  std::string LoadError() const {
    const auto preprocessor = Load();
    EXPECT_FALSE(preprocessor.ok());
    return std::string(preprocessor.status().message());
  }

  const varserve::testing::TempDir temp_;
  const std::filesystem::path dir_ = temp_.path();
  const int32_t image_token_id_ =
      ReadJson(RepositoryPath("tests/golden/text/llama/config.json"))["image_token_index"];
  int vocabulary_ = varserve::testing::kSmallVocabulary;
};

TEST_F(PreprocessorTest, MakesAPromptOfAPictureAndAQuestion) {
  const auto preprocessor = Load();
  ASSERT_TRUE(preprocessor.ok()) << preprocessor.status();
  const auto image =
      (*preprocessor)
          ->ProcessImage(ReadFile(RepositoryPath("tests/golden/images/files/photo.jpg")), {}, NeverStop);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ((*image)->height, (*preprocessor)->image_processor().largest().height);
  const absl::StatusOr<Prompt> prompt =
      (*preprocessor)->prompt_builder().Build({{Role::kUser, {ImagePart(), "What is this?"}}}, {*image});
  ASSERT_TRUE(prompt.ok()) << prompt.status();
  EXPECT_EQ(prompt->images[0], *image);
  EXPECT_EQ(prompt->prefix_size(), prompt->spans[0].end);
  EXPECT_EQ((*preprocessor)->ProcessImage("nothing", {}, NeverStop).status().code(),
            absl::StatusCode::kInvalidArgument);
}

// Of LLaVA-OneVision: tiles only for the one picture of a conversation.
TEST_F(PreprocessorTest, APictureAmongSeveralMayBecomeAnotherImage) {
  const std::string picture = ReadFile(RepositoryPath("tests/golden/images/files/photo.jpg"));
  const Digest file = Sha256({picture});
  const auto config = image::LlavaNextImageProcessorConfig::Parse(
      {{"size", 32}, {"image_grid_pinpoints", {{64, 64}}}}, "LlavaOnevisionImageProcessor");
  ASSERT_TRUE(config.ok()) << config.status();
  auto tiles = image::LlavaNextImageProcessor::Create(
      *config, {.image_token = image_token_id_, .side = 2, .most_tiles = 9}, /*max_image_tokens=*/0);
  ASSERT_TRUE(tiles.ok()) << tiles.status();
  auto tokenizer = text::Tokenizer::Load(dir_, image_token_id_);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const auto preprocessor = Preprocessor::Load(dir_, *std::move(tokenizer), *std::move(tiles),
                                               {image_token_id_, "<image>"}, vocabulary_);
  ASSERT_TRUE(preprocessor.ok()) << preprocessor.status();
  EXPECT_EQ((*(*preprocessor)->ProcessImage(picture, {}, NeverStop))->height, 5 * 32);
  EXPECT_EQ((*(*preprocessor)->ProcessImage(picture, {}, NeverStop, 2))->height, 32);
  EXPECT_LT((*preprocessor)->MeasureImage(picture, {}, 2)->kept,
            (*preprocessor)->MeasureImage(picture, {}, 1)->kept);
  EXPECT_EQ((*preprocessor)->KeyOf(file, 1), file);
  EXPECT_NE((*preprocessor)->KeyOf(file, 2), file);
  EXPECT_EQ((*preprocessor)->KeyOf(file, 2), (*preprocessor)->KeyOf(file, 3));
  EXPECT_EQ((*Load())->KeyOf(file, 2), file) << "LLaVA takes all alike";
}

TEST_F(PreprocessorTest, NamesTheFileThatIsMissing) {
  std::filesystem::remove(dir_ / "chat_template.jinja");
  EXPECT_THAT(LoadError(), HasSubstr("chat_template.jinja"));
  std::filesystem::remove(dir_ / "tokenizer.json");
  EXPECT_THAT(LoadError(), HasSubstr("tokenizer.json"));
  std::filesystem::remove(dir_ / "preprocessor_config.json");
  EXPECT_THAT(LoadError(), HasSubstr("preprocessor_config.json"));
}

TEST_F(PreprocessorTest, TriesTheChatTemplate) {
  std::ofstream(dir_ / "chat_template.jinja") << "{{ messages[0].content[1].text }}";
  EXPECT_THAT(LoadError(),
              ::testing::StartsWith("chat template: it cannot be used with an image and a question: images"));
  std::ofstream(dir_ / "chat_template.jinja") << "{{ messages | no_such_filter }}";
  EXPECT_THAT(LoadError(), HasSubstr("no_such_filter"));
}

TEST_F(PreprocessorTest, ATemplateMustNotWriteListsOfParts) {
  // As a list, with and without the placeholder; refused; not at all.
  for (const char* source :
       {"{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}",
        "<image>{{ messages[0].content }}", "{% for m in messages %}{{ m.content + eos_token }}{% endfor %}",
        "<image>{{ messages[0].content | tojson }}",
        "{% if messages[0].content is not string %}{{ raise_exception('strings only') }}{% endif %}"}) {
    std::ofstream(dir_ / "chat_template.jinja") << source;
    EXPECT_THAT(LoadError(),
                ::testing::StartsWith("chat template: it cannot be used with an image and a question: "))
        << source;
  }
  // It may have no place for the question.
  std::ofstream(dir_ / "chat_template.jinja") << "<image>Describe it.";
  EXPECT_TRUE(Load().ok());
  // What it does with conversations of another kind is found out when there is one.
  std::ofstream(dir_ / "chat_template.jinja") << "<image>{{ messages[0].content[1].text }}";
  const auto preprocessor = Load();
  ASSERT_TRUE(preprocessor.ok()) << preprocessor.status();
  EXPECT_TRUE(
      absl::IsInvalidArgument((*preprocessor)->prompt_builder().Build({{Role::kUser, {"Hi"}}}, {}).status()));
}

TEST_F(PreprocessorTest, TokensOfTheTemplateMustBeTheModels) {
  vocabulary_ = image_token_id_ + 1;
  EXPECT_TRUE(Load().ok());
  const int32_t pad = vocabulary_;  // the tokenizer's last
  const auto file = [&](const char* name, const std::string& text) { std::ofstream(dir_ / name) << text; };
  file("chat_template.jinja", "<image>{{ messages[0].content[-1].text }} {{ pad_token }}");
  EXPECT_EQ(
      LoadError(),
      absl::StrCat(
          "chat template: it cannot be used with an image and a question: messages: the tokenizer makes "
          "token ",
          pad, " of \"▁<pad>\", but the model has only ", pad, " tokens"));
  file("chat_template.jinja",
       "<image>{% for m in messages %}{{ m.content[-1].text }}"
       "{{ ' ' + pad_token if m.role == 'assistant' }}{% endfor %}");
  EXPECT_THAT(LoadError(),
              ::testing::StartsWith("chat template: it cannot be used with a conversation: messages: "));
  file("chat_template.jinja", "<image>{% for m in messages %}{{ m.content[-1].text }}{% endfor %}");
  EXPECT_TRUE(Load().ok());
  nlohmann::json config = ReadJson(dir_ / "tokenizer_config.json");
  config["bos_token"] = "<begin>";  // which the post-processor does not write
  file("tokenizer_config.json", config.dump());
  EXPECT_TRUE(Load().ok());
  file("chat_template.jinja", "{{ bos_token }}<image>{{ messages[0].content[-1].text }}");
  EXPECT_THAT(LoadError(), HasSubstr("<begin>"));
}

// A word that a user can write, added to the tokenizer but not to the model.
TEST_F(PreprocessorTest, ATokenOfTheUsersMustBeTheModels) {
  nlohmann::json tokenizer = ReadJson(dir_ / "tokenizer.json");
  vocabulary_ = image_token_id_ + 2;
  nlohmann::json word = tokenizer["added_tokens"].back();
  word["id"] = vocabulary_;
  word["content"] = "<tool>";
  word["special"] = false;
  word["normalized"] = false;
  tokenizer["added_tokens"].push_back(word);
  std::ofstream(dir_ / "tokenizer.json") << tokenizer;
  const auto preprocessor = Load();
  ASSERT_TRUE(preprocessor.ok()) << preprocessor.status();
  const auto build = [&](const char* text) {
    return (*preprocessor)->prompt_builder().Build({{Role::kUser, {text}}}, {}).status();
  };
  EXPECT_TRUE(build("a tool").ok());
  EXPECT_EQ(build("a <tool>"), absl::InvalidArgumentError(absl::StrCat(
                                   "messages: the tokenizer makes token ", vocabulary_,
                                   " of \"<tool>\", but the model has only ", vocabulary_, " tokens")));
}

}  // namespace
}  // namespace varserve::chat
