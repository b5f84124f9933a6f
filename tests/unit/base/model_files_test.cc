#include "server/base/model_files.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "nlohmann/json.hpp"
#include "tests/testing/temp_dir.h"

namespace varserve {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ModelFilesTest, FollowsLinksAndNamesDeadOnes) {
  const testing::TempDir dir;
  const testing::TempDir cache;
  const std::string blob = cache.Write("blob", R"({"a": 1})");
  std::filesystem::create_symlink(blob, dir.path() + "/a.json");
  ASSERT_TRUE(ReadModelJson(dir.path(), "a.json").ok());
  EXPECT_EQ(*ReadModelFile(dir.path(), "a.json"), R"({"a": 1})");
  std::filesystem::remove(blob);
  const absl::Status dead = ReadModelFile(dir.path(), "a.json").status();
  EXPECT_TRUE(absl::IsNotFound(dead));
  EXPECT_EQ(dead.message(),
            "a.json: is a symbolic link to " + blob + ", which does not exist; download the model again");
  EXPECT_TRUE(absl::IsNotFound(ReadModelFile(dir.path(), "b.json").status()));
  std::filesystem::create_directory(dir.path() + "/folder");
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadModelFile(dir.path(), "folder").status()));
}

TEST(ModelFilesTest, OnlyStandardJsonIsAnObject) {
  const auto problem = [](const std::string& text) {
    const absl::Status status = ParseJsonObject("f.json", text).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << text;
    return std::string(status.message());
  };
  EXPECT_THAT(problem(""), StartsWith("f.json: not a JSON object: parse error at line 1, column 1"));
  EXPECT_THAT(problem("{\n \"a\": NaN}"),
              StartsWith("f.json: not a JSON object: parse error at line 2, column 7"));
  EXPECT_THAT(problem(R"({"a": 1e400})"), HasSubstr("number overflow"));
  EXPECT_THAT(problem("{\"a\": \"\xff\"}"), HasSubstr("invalid string"));
  EXPECT_THAT(problem(R"({"a": 1,})"), HasSubstr("line 1"));
  EXPECT_THAT(problem("{} // comment"), HasSubstr("line 1"));
  EXPECT_THAT(problem("\xEF\xBB\xBF{}"), HasSubstr("byte order mark"));
  EXPECT_THAT(problem("[]"), HasSubstr("not a JSON object"));
  for (const int depth : {1'000, 1'000'000}) {
    EXPECT_THAT(problem("{\"a\": " + std::string(depth, '[') + std::string(depth, ']') + "}"),
                HasSubstr("nested more than 100 levels"));
    EXPECT_FALSE(problem("{\"a\": " + std::string(depth, '[')).empty());
  }
  EXPECT_EQ((*ParseJsonObject("f.json", R"({"a": {"b": 1}, "a": {"c": 2}})"))["a"],
            nlohmann::json({{"c", 2}}));
}

}  // namespace
}  // namespace varserve
