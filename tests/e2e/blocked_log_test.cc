// Whoever is to read the server's standard error stops reading, or goes away: calls are answered all the
// same, and the process can end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/e2e/questions.h"
#include "tests/e2e/server_process.h"
#include "tests/testing/servable_model.h"

namespace varserve::testing {
namespace {

using ::testing::HasSubstr;

constexpr int kCalls = 60;  // their lines take 15 KiB and more, the pipe 4

class BlockedLogTest : public ::testing::Test {
 protected:
  BlockedLogTest() : server_(model_.dir(), {}, ServerProcess::LogTo::kPipe) {
    EXPECT_TRUE(server_.WaitUntilReady());
    client_ = server_.Connect();
  }

  void AskManyTimes() const {
    for (int i = 0; i < kCalls; ++i) ASSERT_TRUE(Ask(*client_, LongQuestion(1)).ok()) << i;
  }
  int Lines(const std::string& text) const {
    const std::vector<std::string> lines = absl::StrSplit(server_.Log(), '\n');
    return static_cast<int>(std::count_if(
        lines.begin(), lines.end(), [&](const std::string& line) { return absl::StrContains(line, text); }));
  }

  const ServableModel model_;
  ServerProcess server_;
  std::unique_ptr<client::InferenceClient> client_;
};

TEST_F(BlockedLogTest, CallsAreAnsweredAndTheirLinesComeLater) {
  server_.log_pipe().StopReading();
  AskManyTimes();
  v1::AnswerRequest wrong = LongQuestion(1);
  wrong.mutable_options()->set_temperature(-1);
  for (int i = 0; i < kCalls; ++i) EXPECT_TRUE(absl::IsInvalidArgument(Ask(*client_, wrong)));
  EXPECT_LT(Lines("code=OK"), kCalls);
  EXPECT_EQ(server_.Metric("varserve_requests_total", "code=\"OK\""), kCalls);

  server_.log_pipe().GoOnReading();
  server_.Signal(SIGTERM);
  EXPECT_EQ(server_.WaitForExit(), 0);
  EXPECT_TRUE(server_.WaitForLog("stopped"));
  EXPECT_EQ(Lines("code=OK"), kCalls);
  EXPECT_EQ(Lines("code=INVALID_ARGUMENT"), 50) << "the rest is summed up";
  EXPECT_THAT(server_.Log(), HasSubstr("kind=INVALID_ARGUMENT lines=10"));
}

TEST_F(BlockedLogTest, TheProcessEndsAlthoughNobodyReads) {
  server_.log_pipe().StopReading();
  AskManyTimes();
  server_.Signal(SIGTERM);
  EXPECT_EQ(server_.WaitForExit(), 0);
}

TEST_F(BlockedLogTest, AReaderThatGoesAwayIsNoReasonToEnd) {
  server_.log_pipe().CloseReadEnd();
  AskManyTimes();
  const auto dropped = [&] { return server_.Metric("varserve_log_lines_dropped_total"); };
  for (int i = 0; i < 1000 && dropped() < kCalls; ++i)
    absl::SleepFor(absl::Milliseconds(10));  // after the answer
  EXPECT_EQ(dropped(), kCalls);
  server_.Signal(SIGTERM);
  EXPECT_EQ(server_.WaitForExit(), 0);
}

}  // namespace
}  // namespace varserve::testing
