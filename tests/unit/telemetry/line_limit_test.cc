#include "server/telemetry/line_limit.h"

#include <gtest/gtest.h>

namespace varserve::telemetry {
namespace {

constexpr absl::Time kStart = absl::UnixEpoch();

TEST(LineLimitTest, LetsTheFirstOfEachKindThroughAndCountsTheRest) {
  LineLimit limit(2, absl::Seconds(10));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limit.Admit("a", kStart + absl::Seconds(i)), i < 2);
  EXPECT_TRUE(limit.Admit("b", kStart + absl::Seconds(5)));
  EXPECT_TRUE(limit.EndWindows(kStart + absl::Seconds(9)).empty());

  const auto left_out = limit.EndWindows(kStart + absl::Seconds(10));
  ASSERT_EQ(left_out.size(), 1);
  EXPECT_EQ(left_out.front().kind, "a");
  EXPECT_EQ(left_out.front().lines, 3);
  EXPECT_TRUE(limit.EndWindows(kStart + absl::Seconds(100)).empty()) << "said once";
}

TEST(LineLimitTest, ANewWindowBeginsWithTheNextLine) {
  LineLimit limit(1, absl::Seconds(10));
  EXPECT_TRUE(limit.Admit("a", kStart));
  EXPECT_TRUE(limit.EndWindows(kStart + absl::Seconds(50)).empty()) << "nothing was left out";
  EXPECT_TRUE(limit.Admit("a", kStart + absl::Seconds(50)));
  EXPECT_FALSE(limit.Admit("a", kStart + absl::Seconds(59)));
}

// Nothing is said of it, so nothing may be forgotten.
TEST(LineLimitTest, AWindowLastsUntilItIsEnded) {
  LineLimit limit(1, absl::Seconds(10));
  EXPECT_TRUE(limit.Admit("a", kStart));
  EXPECT_FALSE(limit.Admit("a", kStart + absl::Seconds(20)));
  EXPECT_EQ(limit.EndWindows(kStart + absl::Seconds(20)).front().lines, 1);
}

}  // namespace
}  // namespace varserve::telemetry
