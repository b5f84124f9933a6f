#include "server/transport/bearer_tokens.h"

#include <sys/stat.h>

#include <filesystem>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temp_dir.h"

namespace varserve::transport {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<std::string> Check(const BearerTokens& tokens, const std::string& authorization) {
  return tokens.Check(authorization);
}

class BearerTokensTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& content) { return dir_.Write("tokens", content); }
  absl::StatusOr<std::unique_ptr<BearerTokens>> Load(const std::string& path) {
    return BearerTokens::Load(path, logger_.get());
  }
  const std::unique_ptr<telemetry::Logger> logger_ = *telemetry::Logger::Create("text", "error");
  varserve::testing::TempDir dir_;
};

TEST_F(BearerTokensTest, LetsInEveryTokenOfTheFileAndNothingElse) {
  const auto tokens = Load(Write("# who\n\n  first \nsecond\r\n"));
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_TRUE(Check(**tokens, "Bearer first").ok());
  EXPECT_TRUE(Check(**tokens, "Bearer second").ok());
  for (const char* wrong : {"Bearer third", "Bearer ", "Bearer", "first", "Basic first", "Bearer first ",
                            "bearer first", "Bearer firs", "Bearer # who", ""}) {
    const absl::Status status = Check(**tokens, wrong).status();
    EXPECT_TRUE(absl::IsUnauthenticated(status)) << wrong;
    EXPECT_THAT(std::string(status.message()), HasSubstr("authorization: "));
  }
  EXPECT_TRUE(absl::IsUnauthenticated((*tokens)->Check("").status()));
}

TEST_F(BearerTokensTest, RefusesAFileWithoutTokens) {
  for (const std::string& path : {Write("# none\n \n"), dir_.path() + "/missing"}) {
    const absl::Status status = Load(path).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr("--token_file: " + path));
  }
}

TEST_F(BearerTokensTest, RefusesATokenOfTwoNames) {
  const absl::Status status = Load(Write("anna one\nben two\ncarl one\n")).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("line 3 of"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("repeats the token of anna"));
}

// Opening a pipe waits for its other end.
TEST_F(BearerTokensTest, NothingButAFileIsRead) {
  const std::string pipe = dir_.path() + "/pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(std::string(Load(pipe).status().message()), HasSubstr("is not a regular file"));
}

// The file is looked at once a second; the answer is asked for until it changes.
void WaitUntil(const BearerTokens& tokens, const std::string& authorization, bool allowed) {
  while (Check(tokens, authorization).ok() != allowed) absl::SleepFor(absl::Milliseconds(20));
}

TEST_F(BearerTokensTest, ReadsTheFileAgainWhenItChanges) {
  const std::string path = Write("old\n");
  const auto tokens = Load(path);
  ASSERT_TRUE(tokens.ok());
  EXPECT_FALSE(Check(**tokens, "Bearer new").ok());
  Write("new\nnewer\n");
  WaitUntil(**tokens, "Bearer new", true);
  EXPECT_FALSE(Check(**tokens, "Bearer old").ok());
}

TEST_F(BearerTokensTest, ACallerIsKnownByName) {
  const auto tokens = Load(Write("alice a-1\nalice\ta-2\n bob  b \nnameless\n"));
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(*Check(**tokens, "Bearer a-1"), "alice");
  EXPECT_EQ(*Check(**tokens, "Bearer a-2"), "alice");
  EXPECT_EQ(*Check(**tokens, "Bearer b"), "bob");
  EXPECT_EQ(*Check(**tokens, "Bearer nameless"), "token-17d72fdf") << "of its SHA-256";
  EXPECT_FALSE(Check(**tokens, "Bearer alice").ok());
  EXPECT_FALSE(Check(**tokens, "Bearer alice a-1").ok());
}

TEST_F(BearerTokensTest, RefusesLinesThatAreNoToken) {
  for (const std::string bad : {"one two three", "na/me token", "n\xc3\xa4me token"}) {
    const absl::Status status = Load(Write("good\n" + bad + "\n")).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--token_file: line 2 "));
  }
}

TEST_F(BearerTokensTest, AFileThatCannotBeReadTakesNobodysToken) {
  const std::string path = Write("old\nkept\n");
  const auto tokens = Load(path);
  ASSERT_TRUE(tokens.ok());
  std::filesystem::rename(path, path + ".aside");
  const absl::Time looked_again = absl::Now() + absl::Seconds(1.2);
  while (absl::Now() < looked_again) absl::SleepFor(absl::Milliseconds(50));
  EXPECT_TRUE(Check(**tokens, "Bearer kept").ok());
  Write("one two three\n");
  const absl::Time and_again = absl::Now() + absl::Seconds(1.2);
  while (absl::Now() < and_again) absl::SleepFor(absl::Milliseconds(50));
  EXPECT_TRUE(Check(**tokens, "Bearer kept").ok());
  Write("last\n");
  WaitUntil(**tokens, "Bearer kept", false);
  EXPECT_TRUE(Check(**tokens, "Bearer last").ok());
}

TEST_F(BearerTokensTest, AnEmptiedFileLetsNobodyIn) {
  const auto tokens = Load(Write("one\ntwo\n"));
  ASSERT_TRUE(tokens.ok());
  Write("# nobody\n");
  WaitUntil(**tokens, "Bearer one", false);
  EXPECT_TRUE(absl::IsUnauthenticated(Check(**tokens, "Bearer two").status()));
  EXPECT_TRUE(absl::IsUnauthenticated(Check(**tokens, "Bearer ").status()));
  Write("two\n");
  WaitUntil(**tokens, "Bearer two", true);
}

}  // namespace
}  // namespace varserve::transport
