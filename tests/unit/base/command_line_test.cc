#include "server/base/command_line.h"

#include <absl/flags/flag.h>
#include <absl/flags/reflection.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/testing/temp_dir.h"

ABSL_FLAG(std::string, test_name, "", "Name of something");
ABSL_FLAG(int, test_count, 3,
          "Number of something that takes so many words to describe that a line of the help "
          "cannot hold them all");
ABSL_FLAG(absl::Duration, test_wait, absl::Seconds(1), "Time. Default: a second");
ABSL_FLAG(bool, test_json, false, "Print JSON");

namespace varserve {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const Program kProgram = {.name = "program",
                          .version = "1.2.3",
                          .usage = "Does something.",
                          .flags_files = {"command_line_test.cc"}};

absl::Status Read(std::vector<std::string> words) {
  words.insert(words.begin(), "program");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  return ReadFlags(kProgram, static_cast<int>(argv.size()), argv.data());
}

std::string Problem(const std::vector<std::string>& words) {
  const absl::Status status = Read(words);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(CommandLine, SetsFlags) {
  ASSERT_TRUE(Read({"--test_name=-x", "--test_count", "-5", "-test_wait=2s", "--test_json"}).ok());
  EXPECT_EQ(absl::GetFlag(FLAGS_test_name), "-x");
  EXPECT_EQ(absl::GetFlag(FLAGS_test_count), -5);
  EXPECT_EQ(absl::GetFlag(FLAGS_test_wait), absl::Seconds(2));
  EXPECT_TRUE(absl::GetFlag(FLAGS_test_json));
  ASSERT_TRUE(Read({"--test_name", "--help", "--notest_json", "--tryfromenv=test_count"}).ok());
  EXPECT_EQ(absl::GetFlag(FLAGS_test_name), "--help") << "a value, whatever it looks like";
  EXPECT_FALSE(absl::GetFlag(FLAGS_test_json));
}

TEST(CommandLine, SuggestsTheClosestFlag) {
  EXPECT_EQ(Problem({"--test_nam=x"}),
            "--test_nam: is not a flag; did you mean --test_name? program --help lists all");
  EXPECT_THAT(Problem({"--test-count", "3"}), HasSubstr("did you mean --test_count?"));
  EXPECT_THAT(Problem({"--test_json", "--tset_wait=1s"}), HasSubstr("did you mean --test_wait?"));
  EXPECT_EQ(Problem({"--colour"}), "--colour: is not a flag; program --help lists all");
  EXPECT_THAT(Problem({"--notest_name"}), HasSubstr("--notest_name: is not a flag"));
}

TEST(CommandLine, SaysWhatAValueHasToBe) {
  EXPECT_EQ(Problem({"--test_wait=5"}), "--test_wait: \"5\" is not a time such as 500ms, 30s or 5m");
  EXPECT_THAT(Problem({"--test_count", "many"}), StartsWith("--test_count: \"many\" is not a whole number"));
  EXPECT_THAT(Problem({"--test_json=maybe"}), EndsWith("is not true or false"));
  EXPECT_EQ(Problem({"--test_name"}), "--test_name: has no value");
  EXPECT_THAT(Problem({"word"}), HasSubstr("unexpected argument \"word\""));
}

TEST(CommandLine, HelpAndVersionEndWithZero) {
  for (const char* flag : {"--help", "-h", "--version"}) {
    EXPECT_EXIT((void)Read({flag, "--unknown"}), ::testing::ExitedWithCode(0), "") << flag;
  }
}

TEST(CommandLine, HelpListsTheProgramsFlagsWithTheirDefaults) {
  const absl::FlagSaver saver;
  absl::SetFlag(&FLAGS_test_name, "");
  absl::SetFlag(&FLAGS_test_count, 3);
  EXPECT_THAT(HelpText(kProgram),
              AllOf(StartsWith("Does something.\n"),
                    HasSubstr("\n  --test_name (default: \"\";)\n      Name of something\n"),
                    HasSubstr("\n  --test_count (default: 3;)\n      Number of"),
                    HasSubstr(" cannot hold\n      them all\n"),
                    HasSubstr("\n      Time. Default: a second\n"), Not(HasSubstr("flagfile"))));
}

TEST(CommandLine, HelpShowsTheValuesOfFlagsBeforeItAndOfAFlagfile) {
  const testing::TempDir dir;
  const std::string file = dir.Write("flags", "--test_count=7\n--test_name=cat\n");
  const auto help = [&] {
    dup2(STDERR_FILENO, STDOUT_FILENO);  // which EXPECT_EXIT reads
    (void)Read({"--flagfile=" + file, "--test_wait=2s", "--help", "--unknown"});
  };
  const auto exited = ::testing::ExitedWithCode(0);
  EXPECT_EXIT(help(), exited, "--test_count .default: 3; currently: 7;.");
  EXPECT_EXIT(help(), exited, "--test_name .default: \"\"; currently: \"cat\";.");
  EXPECT_EXIT(help(), exited, "--test_wait .default: 1s; currently: 2s;.");
}

}  // namespace
}  // namespace varserve
