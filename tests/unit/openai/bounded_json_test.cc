#include "server/openai/bounded_json.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varserve::openai {
namespace {

using ::testing::StartsWith;

std::string Problem(const std::string& text) { return std::string(ParseJson(text).status().message()); }

std::string Times(int count, const std::string& text) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

TEST(BoundedJsonTest, ReadsWhatTheLibraryReads) {
  for (const char* text : {"null", "1", "-2.5", "\"\\u00e4\\n\"", "[]", "{}", "[1,[2,{\"a\":[]}],3]",
                           R"({"a":{"b":[true,false,null]},"c":18446744073709551615,"a":2})"}) {
    const auto value = ParseJson(text);
    ASSERT_TRUE(value.ok()) << text << value.status();
    EXPECT_EQ(*value, nlohmann::json::parse(text)) << text;
  }
}

TEST(BoundedJsonTest, SaysWhereItIsNotJson) {
  EXPECT_EQ(Problem(""), "request: is not JSON from byte 1 on");
  EXPECT_EQ(Problem("{\"a\":}"), "request: is not JSON from byte 6 on");
  EXPECT_EQ(Problem("[1] 2"), "request: is not JSON from byte 5 on");
  EXPECT_THAT(Problem("\"\xff\""), StartsWith("request: is not JSON"));
  EXPECT_THAT(Problem("1e999"), StartsWith("request: is not JSON"));
}

TEST(BoundedJsonTest, DepthIsBounded) {
  const auto nested = [](int depth) { return absl::StrCat(Times(depth, "["), Times(depth, "]")); };
  EXPECT_TRUE(ParseJson(nested(kMaxJsonDepth)).ok());
  EXPECT_EQ(Problem(nested(kMaxJsonDepth + 1)), "request: nests deeper than 64 levels");
  EXPECT_EQ(Problem(Times(1'000'000, "{\"a\":")), "request: nests deeper than 64 levels");
}

TEST(BoundedJsonTest, TheNumberOfValuesIsBounded) {
  const auto list = [](int count) { return absl::StrCat("[0", Times(count - 1, ",0"), "]"); };
  EXPECT_TRUE(ParseJson(list(kMaxJsonValues - 1)).ok());
  EXPECT_EQ(Problem(list(kMaxJsonValues)), "request: holds more than 65536 values");
}

}  // namespace
}  // namespace varserve::openai
