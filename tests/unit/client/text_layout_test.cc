#include "client/cli/text_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_split.h"

namespace varserve::cli {
namespace {

using ::testing::ElementsAre;

TEST(IsUtf8, IsWhatAProtobufStringMayHold) {
  for (const absl::string_view text :
       {"", "cat", "caf\u00e9 \u65e5\u672c \U0001F431 \U0010FFFF", "\x1b[2J\t\n"})
    EXPECT_TRUE(IsUtf8(text)) << text;
  EXPECT_TRUE(IsUtf8(absl::string_view("a\0b", 3)));
  for (const char* text : {"caf\xe9", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xff z"})
    EXPECT_FALSE(IsUtf8(text)) << text;
}

TEST(DisplayWidth, CountsPlacesNotBytes) {
  EXPECT_EQ(DisplayWidth("cat"), 3);
  EXPECT_EQ(DisplayWidth("caf\u00e9"), 4);
  EXPECT_EQ(DisplayWidth("\u732b\u306f"), 4);  // East Asian wide
  EXPECT_EQ(DisplayWidth("e\u0301"), 1);       // combining
  EXPECT_EQ(DisplayWidth("\U0001F408"), 2);    // an emoji
  EXPECT_EQ(DisplayWidth("\x1b\n"), 0);
  EXPECT_EQ(DisplayWidth("\xff"
                         "a"),
            1);
}

TEST(Printable, LeavesNothingThatSteersATerminal) {
  EXPECT_EQ(Printable("a\n\tb \u732b"), "a\n\tb \u732b");
  EXPECT_EQ(Printable("\x1b[31mred"), "\uFFFD[31mred");
  EXPECT_EQ(Printable("\u009b31m"), "\uFFFD31m");  // the one-character form of it
  EXPECT_EQ(Printable(absl::string_view("\0\xff", 2)), "\uFFFD\uFFFD");
  EXPECT_EQ(PrintableLine("a\n\tb\r"), "a\\n\\tb\uFFFD");
}

TEST(Wrap, BreaksAtSpaces) {
  EXPECT_THAT(Wrap("a black cat sits", 7), ElementsAre("a black", "cat", "sits"));
  EXPECT_THAT(Wrap("one\n\ntwo", 10), ElementsAre("one", "", "two"));
  EXPECT_THAT(Wrap("", 10), ElementsAre(""));
}

TEST(Wrap, BreaksLongWordsAndWideCharacters) {
  EXPECT_THAT(Wrap("abcdefgh", 3), ElementsAre("abc", "def", "gh"));
  EXPECT_THAT(Wrap("\u732b\u732b\u732b", 5), ElementsAre("\u732b\u732b", "\u732b"));
  EXPECT_THAT(Wrap("\u732b", 1), ElementsAre("\u732b"));  // wider than the line: a line of its own
}

TEST(FormatTable, AlignsByPlaces) {
  EXPECT_EQ(FormatTable({{"name", "n"}, {"\u732b", "100"}, {"x"}}),
            "name    n\n"
            "\u732b    100\n"
            "x\n");
}

TEST(FormatColumns, StandsSideBySide) {
  EXPECT_EQ(FormatColumns({"off", "on"}, {"A cat on a mat in a hat.", "A dog."}, 35),
            "off              | on\n"
            "---------------- | ----------------\n"
            "A cat on a mat   | A dog.\n"
            "in a hat.        |\n");
}

TEST(FormatColumns, KeepsWithinTheWidth) {
  const std::string text = "\u732b\u304c\u5ea7\u308b a cat sits on a very-long-unbreakable-word";
  for (int width = 20; width < 120; ++width) {
    for (const absl::string_view line :
         absl::StrSplit(FormatColumns({"a", "b", "c"}, {text, text, text}, width), '\n')) {
      EXPECT_LE(DisplayWidth(line), width);
    }
  }
}

TEST(FormatColumns, StacksWhatWouldBeTooNarrow) {
  EXPECT_EQ(FormatColumns({"off", "on"}, {"A cat.", "A dog."}, 20), "off\n  A cat.\n\non\n  A dog.\n");
}

}  // namespace
}  // namespace varserve::cli
