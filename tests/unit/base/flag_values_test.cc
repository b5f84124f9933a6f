#include "server/base/flag_values.h"

#include <gmock/gmock.h>

namespace varserve {
namespace {

using ::testing::HasSubstr;

TEST(FlagValuesTest, Sizes) {
  EXPECT_EQ(*FlagBytes("f", "0"), 0);
  EXPECT_EQ(*FlagBytes("f", "1000"), 1000);
  EXPECT_EQ(*FlagBytes("f", "1.5K"), 1536);
  EXPECT_EQ(*FlagBytes("f", "800M"), int64_t{800} << 20);
  EXPECT_EQ(*FlagBytes("f", "20G"), int64_t{20} << 30);
  EXPECT_EQ(*FlagBytes("f", "2T"), int64_t{2} << 40);
}

TEST(FlagValuesTest, WhatIsNoSizeIsNamedWithItsFlag) {
  for (const char* text :
       {"", "G", "-1", "20GB", "20Gi", "nan", "nanG", "inf", "1e12T", "1e300", "1e16", "x"}) {
    const absl::Status status = FlagBytes("prefix_cache", text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text;
    EXPECT_THAT(status.ToString(), HasSubstr(": --prefix_cache: ")) << text;
  }
}

TEST(FlagValuesTest, Directory) {
  EXPECT_TRUE(FlagDirectory("f", ::testing::TempDir(), "config.json").ok());
  EXPECT_THAT(FlagDirectory("f", "/no/such", "config.json").ToString(),
              HasSubstr("--f: /no/such does not exist; give the directory that holds config.json"));
  EXPECT_THAT(FlagDirectory("f", "/dev/null", "config.json").ToString(),
              HasSubstr("--f: /dev/null is not a directory; give the directory that holds config.json"));
}

TEST(FlagValuesTest, Choice) {
  EXPECT_EQ(*FlagChoice("f", "b", {"a", "b", "c"}), 1);
  EXPECT_THAT(FlagChoice("f", "d", {"a", "b", "c"}).status().ToString(),
              HasSubstr("--f: \"d\" is not a, b or c"));
}

TEST(FlagValuesTest, AtLeast) {
  EXPECT_TRUE(FlagAtLeast("f", 3, 3).ok());
  EXPECT_THAT(FlagAtLeast("f", 2, 3).ToString(), HasSubstr("--f: 2 is not at least 3"));
}

TEST(FlagValuesTest, InRange) {
  EXPECT_TRUE(FlagInRange("f", 3, 3, 5).ok());
  EXPECT_TRUE(FlagInRange("f", 5, 3, 5).ok());
  EXPECT_THAT(FlagInRange("f", 6, 3, 5).ToString(), HasSubstr("--f: 6 is not in [3, 5]"));
  EXPECT_FALSE(FlagInRange("f", 2, 3, 5).ok());
}

}  // namespace
}  // namespace varserve
