#include "server/preprocess/preprocessor.h"

#include <fstream>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/files.h"

namespace varserve::preprocess {
namespace {

using testing::HasSubstr;

class PreprocessorTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(dir_);
    std::filesystem::copy(RepositoryPath("tests/golden/text/llama"), dir_);
    layout_.token_id = ReadJson(dir_ / "config.json")["image_token_index"];
  }

  std::string LoadError() {
    const auto preprocessor = Preprocessor::Load(dir_, layout_);
    EXPECT_FALSE(preprocessor.ok());
    return std::string(preprocessor.status().message());
  }

  const std::filesystem::path dir_ = testing::TempDir() + "/preprocessor_test";
  ImageLayout layout_{.token_id = 0, .num_tokens = 4, .rows = 2, .cols = 2};
};

TEST_F(PreprocessorTest, MakesAPromptOfAPictureAndAQuestion) {
  const auto preprocessor = Preprocessor::Load(dir_, layout_);
  ASSERT_TRUE(preprocessor.ok()) << preprocessor.status();
  const auto image =
      (*preprocessor)
          ->ProcessImage(ReadFile(RepositoryPath("tests/golden/images/files/photo.jpg")), {}, NeverStop);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ((*image)->height, (*preprocessor)->image_processor().height());
  const absl::StatusOr<Prompt> prompt =
      (*preprocessor)->prompt_builder().Build({{Role::kUser, {ImagePart(), "What is this?"}}}, {*image});
  ASSERT_TRUE(prompt.ok()) << prompt.status();
  EXPECT_EQ(prompt->images[0], *image);
  EXPECT_EQ(prompt->prefix_size(), prompt->spans[0].end);
  EXPECT_EQ((*preprocessor)->ProcessImage("nothing", {}, NeverStop).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(PreprocessorTest, NamesTheFileThatIsMissing) {
  std::filesystem::remove(dir_ / "preprocessor_config.json");
  EXPECT_THAT(LoadError(), HasSubstr("preprocessor_config.json"));
  std::filesystem::remove(dir_ / "chat_template.jinja");
  EXPECT_THAT(LoadError(), HasSubstr("chat_template.jinja"));
  std::filesystem::remove(dir_ / "tokenizer.json");
  EXPECT_THAT(LoadError(), HasSubstr("tokenizer.json"));
}

TEST_F(PreprocessorTest, TriesTheChatTemplate) {
  std::ofstream(dir_ / "chat_template.jinja") << "{{ messages[0].content[1].text }}";
  EXPECT_THAT(LoadError(),
              testing::StartsWith("chat template: it cannot be used with an image and a question: images"));
  std::ofstream(dir_ / "chat_template.jinja") << "{{ messages | no_such_filter }}";
  EXPECT_THAT(LoadError(), HasSubstr("no_such_filter"));
}

}  // namespace
}  // namespace varserve::preprocess
