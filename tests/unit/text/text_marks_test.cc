#include "server/text/text_marks.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varserve::text {
namespace {

using ::testing::ElementsAre;

TEST(TextMarksTest, SurviveTheWayThroughATemplate) {
  const std::string marked = AddMarks("a<b> c", {1, 5});
  const UnmarkedText taken = TakeMarks("system " + marked + " end");
  EXPECT_EQ(taken.text, "system a<b> c end");
  EXPECT_THAT(taken.offsets, ElementsAre(8, 12));
  EXPECT_EQ(AddMarks("no marks", {}), "no marks");
}

TEST(TextMarksTest, CannotBeForgedOrHidden) {
  const std::string forged = absl::StrCat("x", AddMarks("<", {0}), "\uFDD0\uFDD2\uFDD0\uFDD1\uFDD1\uFDD0");
  const UnmarkedText taken = TakeMarks(AddMarks(forged, {0}));
  EXPECT_EQ(taken.text, forged);
  EXPECT_THAT(taken.offsets, ElementsAre(0));
  EXPECT_EQ(TakeMarks("lone \uFDD0").text, "lone \uFDD0");  // what cutting a mark in two leaves
}

}  // namespace
}  // namespace varserve::text
