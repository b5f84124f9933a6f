#include "server/rpc/bearer_tokens.h"

#include <filesystem>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace varserve::rpc {
namespace {

using ::testing::HasSubstr;

absl::Status Check(const BearerTokens& tokens, const std::string& authorization) {
  const BearerTokens::Metadata metadata = {{"authorization", authorization}};
  return tokens.Check(metadata);
}

class BearerTokensTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& content) { return dir_.Write("tokens", content); }
  varserve::testing::TempDir dir_;
};

TEST_F(BearerTokensTest, LetsInEveryTokenOfTheFileAndNothingElse) {
  const auto tokens = BearerTokens::Load(Write("# who\n\n  first \nsecond\r\n"));
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_TRUE(Check(**tokens, "Bearer first").ok());
  EXPECT_TRUE(Check(**tokens, "Bearer second").ok());
  for (const char* wrong : {"Bearer third", "Bearer ", "Bearer", "first", "Basic first", "Bearer first ",
                            "bearer first", "Bearer firs", "Bearer # who", ""}) {
    const absl::Status status = Check(**tokens, wrong);
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << wrong;
    EXPECT_THAT(std::string(status.message()), HasSubstr("authorization: "));
  }
  EXPECT_TRUE(absl::IsUnauthenticated((*tokens)->Check({})));
}

TEST_F(BearerTokensTest, RefusesAFileWithoutTokens) {
  for (const std::string& path : {Write("# none\n \n"), dir_.path() + "/missing"}) {
    const absl::Status status = BearerTokens::Load(path).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr("token_file: " + path));
  }
}

// The file is looked at once a second; the answer is asked for until it changes.
void WaitUntil(const BearerTokens& tokens, const std::string& authorization, bool allowed) {
  while (Check(tokens, authorization).ok() != allowed) absl::SleepFor(absl::Milliseconds(20));
}

TEST_F(BearerTokensTest, ReadsTheFileAgainWhenItChanges) {
  const std::string path = Write("old\n");
  const auto tokens = BearerTokens::Load(path);
  ASSERT_TRUE(tokens.ok());
  EXPECT_FALSE(Check(**tokens, "Bearer new").ok());
  Write("new\nnewer\n");
  WaitUntil(**tokens, "Bearer new", true);
  EXPECT_FALSE(Check(**tokens, "Bearer old").ok());

  std::filesystem::remove(path);
  const absl::Time looked_again = absl::Now() + absl::Seconds(1.2);
  while (absl::Now() < looked_again) absl::SleepFor(absl::Milliseconds(50));
  EXPECT_TRUE(Check(**tokens, "Bearer newer").ok()) << "a file that is gone takes nobody's token";
  Write("last\n");
  WaitUntil(**tokens, "Bearer newer", false);
  EXPECT_TRUE(Check(**tokens, "Bearer last").ok());
}

}  // namespace
}  // namespace varserve::rpc
