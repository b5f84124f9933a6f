#include "client/commands/chat_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace varserve::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

absl::StatusOr<std::string> Read(const std::string& path) {
  if (path == "cat.jpg") return "bytes";
  return absl::InvalidArgumentError(path + ": No such file or directory");
}

TEST(ParseMessages, TakesTextAndPictures) {
  const auto messages = ParseMessages(R"([
      {"role": "system", "content": "Be brief."},
      {"role": "user", "content": [{"type": "image", "path": "cat.jpg"}, {"type": "text", "text": "What is it?"}]},
      {"role": "assistant", "content": "A cat."}])",
                                      &Read);
  ASSERT_TRUE(messages.ok()) << messages.status();
  ASSERT_EQ(messages->size(), 3);
  EXPECT_EQ(messages->Get(0).role(), v1::ROLE_SYSTEM);
  EXPECT_EQ(messages->Get(0).parts(0).text(), "Be brief.");
  EXPECT_EQ(messages->Get(1).role(), v1::ROLE_USER);
  EXPECT_EQ(messages->Get(1).parts(0).image().data(), "bytes");
  EXPECT_EQ(messages->Get(1).parts(1).text(), "What is it?");
  EXPECT_EQ(messages->Get(2).role(), v1::ROLE_ASSISTANT);
}

TEST(ParseMessages, NamesThePlaceOfAnError) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "messages: "},
      {"{}", "messages: "},
      {"[1]", "messages[0]: "},
      {R"([{"role": "robot", "content": ""}])", "messages[0]: "},
      {R"([{"role": "user"}])", "messages[0]: "},
      {R"([{"role": "user", "content": [{"type": "video"}]}])", "messages[0].content[0]: "},
      {R"([{"role": "user", "content": [{"type": "text"}]}])", "messages[0].content[0]: "},
      {R"([{"role": "user", "content": ["text"]}])", "messages[0].content[0]: "},
      {R"([{"role": "user", "content": [{"type": "image", "path": 3}]}])", "messages[0].content[0]: "},
  };
  for (const auto& [json, place] : cases) {
    EXPECT_THAT(std::string(ParseMessages(json, &Read).status().message()), StartsWith(place)) << json;
  }
  EXPECT_THAT(
      std::string(
          ParseMessages(R"([{"role": "user", "content": [{"type": "image", "path": "dog.jpg"}]}])", &Read)
              .status()
              .message()),
      HasSubstr("dog.jpg: No such file"));
}

}  // namespace
}  // namespace varserve::cli
