#include "server/base/command_line.h"

#include <absl/flags/flag.h>
#include <absl/flags/reflection.h>
#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "absl/time/time.h"

ABSL_FLAG(std::string, picture_dir, "here", "Where pictures are");
ABSL_FLAG(int, most_pictures, 3,
          "How many. A long text so that the line is wrapped at some word or other, as help is");
ABSL_FLAG(bool, gray, true, "Without colors");
ABSL_FLAG(double, zoom, 1.5, "");
ABSL_FLAG(absl::Duration, patience, absl::Seconds(1), "");

namespace varserve {
namespace {

using ::testing::AnyOf;
using ::testing::ExitedWithCode;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr Program kProgram = {.name = "paint",
                              .usage = "paint [FLAG...]",
                              .version = "1.2",
                              .flags_file = "unit/base/command_line_test.cc"};

class CommandLineTest : public ::testing::Test {
 protected:
  static absl::Status Read(std::vector<std::string> arguments) {
    std::vector<char*> argv = {const_cast<char*>("paint")};
    for (std::string& argument : arguments) argv.push_back(argument.data());
    return ReadFlags(kProgram, static_cast<int>(argv.size()), argv.data());
  }
  static std::string Problem(const std::vector<std::string>& arguments) {
    const absl::Status status = Read(arguments);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  }

  const absl::FlagSaver saver_;
};

TEST_F(CommandLineTest, ReadsEveryWayToWriteAFlag) {
  EXPECT_TRUE(
      Read({"--picture_dir", "--there", "-most_pictures=7", "--nogray", "--zoom=-2", "--patience=2m"}).ok());
  EXPECT_EQ(absl::GetFlag(FLAGS_picture_dir), "--there");
  EXPECT_EQ(absl::GetFlag(FLAGS_most_pictures), 7);
  EXPECT_FALSE(absl::GetFlag(FLAGS_gray));
  EXPECT_EQ(absl::GetFlag(FLAGS_zoom), -2);
  EXPECT_EQ(absl::GetFlag(FLAGS_patience), absl::Minutes(2));
}

TEST_F(CommandLineTest, SuggestsTheFlagThatWasMeant) {
  const auto meant = [](const std::string& flag) {
    return "--" + flag + ": is not a flag; did you mean --most_pictures? See paint --help";
  };
  EXPECT_EQ(Problem({"--most-pictures", "7"}), meant("most-pictures"));
  EXPECT_EQ(Problem({"--most_picture=7"}), meant("most_picture"));
  EXPECT_EQ(Problem({"--zoom=1", "--most_pcitures=7"}), meant("most_pcitures"));
  EXPECT_EQ(Problem({"--zomo"}), "--zomo: is not a flag; see paint --help");
  EXPECT_EQ(Problem({"--patienec=1s"}),
            "--patienec: is not a flag; did you mean --patience? See paint --help");
  EXPECT_EQ(Problem({"--brush"}), "--brush: is not a flag; see paint --help");
  EXPECT_EQ(Problem({"--nozoom"}), "--nozoom: is not a flag; did you mean --zoom? See paint --help");
}

TEST_F(CommandLineTest, SaysWhatAValueLooksLike) {
  EXPECT_EQ(Problem({"--most_pictures=many"}), "--most_pictures: \"many\" is not a whole number in range");
  EXPECT_EQ(Problem({"--most_pictures", "3e9"}), "--most_pictures: \"3e9\" is not a whole number in range");
  EXPECT_EQ(Problem({"--gray=maybe"}), "--gray: \"maybe\" is not true or false");
  EXPECT_EQ(Problem({"--zoom", "x"}), "--zoom: \"x\" is not a number");
  EXPECT_EQ(Problem({"--patience=5"}), "--patience: \"5\" is not a duration such as 30s, 5m or 1h");
  EXPECT_EQ(Problem({"--picture_dir"}), "--picture_dir: has no value; give it one");
}

TEST_F(CommandLineTest, TakesFlagsOnly) {
  EXPECT_EQ(Problem({"cat.jpg"}), "unexpected argument \"cat.jpg\"; see paint --help");
  EXPECT_EQ(Problem({"--", "--zoom"}), "unexpected argument \"--zoom\"; see paint --help");
}

TEST_F(CommandLineTest, HelpAndVersionEndTheProcessWithoutAnError) {
  EXPECT_EXIT((void)Read({"--help"}), ExitedWithCode(0), "");
  EXPECT_EXIT((void)Read({"--zoom=2", "-h"}), ExitedWithCode(0), "");
  EXPECT_EXIT((void)Read({"--version"}), ExitedWithCode(0), "");
}

TEST_F(CommandLineTest, HelpShowsDefaultsAndValues) {
  ASSERT_TRUE(Read({"--picture_dir="}).ok());
  const std::string help = FlagsHelp(kProgram);
  EXPECT_THAT(help, HasSubstr("paint [FLAG...]\n\n  --gray (Without colors); default: true;\n"));
  EXPECT_THAT(help, HasSubstr("  --picture_dir (Where pictures are); default: \"here\"; currently: \"\";\n"));
  EXPECT_THAT(help, HasSubstr("as help\n      is); default: 3;\n"));
  EXPECT_THAT(help, Not(AnyOf(HasSubstr("flagfile"), HasSubstr("gtest"))));
}

}  // namespace
}  // namespace varserve
