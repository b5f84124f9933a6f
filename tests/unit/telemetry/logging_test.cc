#include "server/telemetry/logging.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace varserve::telemetry {
namespace {

using Format = Logger::Format;

TEST(LoggerTest, NamesTheFlagThatIsWrong) {
  EXPECT_EQ(Logger::Create("xml", "info").status().message(), "--log_format: \"xml\" is not text or json");
  EXPECT_EQ(Logger::Create("text", "loud").status().message(),
            "--log_level: \"loud\" is not info, warning or error");
  for (const char* level : {"off", "trace", "debug"}) EXPECT_FALSE(Logger::Create("text", level).ok());
  for (const char* level : {"info", "warning", "error"}) EXPECT_TRUE(Logger::Create("json", level).ok());
}

TEST(LoggerTest, TextQuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(Logger::Payload(
                Format::kText, "request",
                {{"id", "abc"}, {"error", "two words"}, {"empty", ""}, {"tokens", int64_t{3}}, {"s", 0.5}}),
            "request id=abc error=\"two words\" empty=\"\" tokens=3 s=0.5");
}

TEST(LoggerTest, FieldsCannotForgeALine) {
  const std::string payload = Logger::Payload(Format::kText, "request", {{"id", "a\nb level=error"}});
  EXPECT_EQ(payload, "request id=\"a\\nb level=error\"");
  EXPECT_EQ(Logger::Payload(Format::kText, "request", {{"id", "a\tb"}}), "request id=\"a\\tb\"");
}

TEST(LoggerTest, JsonIsJsonWhateverIsInIt) {
  const std::string payload =
      Logger::Payload(Format::kJson, "request",
                      {{"id", "\"quoted\"\\\n"}, {"broken", "\xff\xfe"}, {"n", int64_t{-1}}, {"x", 2.25}});
  const nlohmann::json line = nlohmann::json::parse("{" + payload + "}");
  EXPECT_EQ(line["message"], "request");
  EXPECT_EQ(line["id"], "\"quoted\"\\\n");
  EXPECT_EQ(line["broken"], "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(line["n"], -1);
  EXPECT_EQ(line["x"], 2.25);
}

TEST(LoggerTest, LongTextIsCut) {
  const std::string text(100'000, 'x');
  EXPECT_LT(Logger::Payload(Format::kText, "request", {{"error", text}}).size(), 1100);
  const std::string payload = Logger::Payload(Format::kJson, "request", {{"error", text}});
  EXPECT_EQ(nlohmann::json::parse(absl::StrCat("{", payload, "}"))["error"], std::string(1024, 'x') + "..");
}

TEST(LoggerTest, WritesALineATime) {
  testing::internal::CaptureStderr();
  {
    const auto logger = Logger::Create("json", "warning");
    ASSERT_TRUE(logger.ok());
    (*logger)->Info("not asked for");
    (*logger)->Warning("request", {{"code", "INTERNAL"}});
  }
  const std::string written = testing::internal::GetCapturedStderr();
  ASSERT_EQ(std::count(written.begin(), written.end(), '\n'), 1);
  const nlohmann::json line = nlohmann::json::parse(written);
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["code"], "INTERNAL");
  EXPECT_EQ(line["time"].get<std::string>().size(), std::string("2026-01-02T03:04:05.678Z").size());
}

// A pipe with room for 4 KiB, in place of standard error.
class PipeTest : public ::testing::Test {
 protected:
  PipeTest() {
    EXPECT_EQ(pipe2(ends_.data(), O_CLOEXEC), 0);
    EXPECT_GE(fcntl(ends_[1], F_SETPIPE_SZ, 4096), 4096);
    logger_ = *Logger::Create("text", "info", ends_[1]);
  }
  ~PipeTest() override {
    if (ends_[0] >= 0) close(ends_[0]);
    if (ends_[1] >= 0) close(ends_[1]);
  }

  // Ends the logger; the lines it wrote.
  std::vector<std::string> Lines() {
    std::string text;
    std::thread reader([&] {
      char buffer[4096];
      for (ssize_t size = 0; (size = read(ends_[0], buffer, sizeof(buffer))) > 0;)
        text.append(buffer, static_cast<size_t>(size));
    });
    logger_.reset();
    close(std::exchange(ends_[1], -1));
    reader.join();
    return absl::StrSplit(text, '\n', absl::SkipEmpty());
  }
  static std::optional<int> Number(absl::string_view line, absl::string_view field = "n=") {
    const size_t at = line.find(field);
    if (at == line.npos) return std::nullopt;
    const absl::string_view rest = line.substr(at + field.size());
    int number = 0;
    if (!absl::SimpleAtoi(rest.substr(0, rest.find(' ')), &number)) return std::nullopt;
    return number;
  }

  std::array<int, 2> ends_{-1, -1};
  std::unique_ptr<Logger> logger_;
};

TEST_F(PipeTest, KeepsTheOrderOfLines) {
  for (int i = 0; i < 1000; ++i) logger_->Info("line", {{"n", int64_t{i}}});
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 1000);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(Number(lines[i]), i);
}

// Whoever logs would wait for ever if it waited for the reader.
TEST_F(PipeTest, ABlockedReaderBlocksNobodyAndWhatIsDroppedIsSaid) {
  constexpr int kLines = 3 * Logger::kQueuedLines;
  for (int i = 0; i < kLines; ++i) logger_->Info("line", {{"n", int64_t{i}}});
  EXPECT_FALSE(logger_->Flush(absl::Milliseconds(20)));
  const int64_t dropped = logger_->dropped();
  EXPECT_GT(dropped, Logger::kQueuedLines);
  EXPECT_LE(dropped, kLines - Logger::kQueuedLines);

  const std::vector<std::string> lines = Lines();
  int64_t reported = 0;
  int written = 0;
  int previous = -1;
  // Lines reported as dropped whose gap is yet to come: a line may already have left the queue before.
  int to_come = 0;
  for (const std::string& line : lines) {
    if (absl::StrContains(line, "log lines were dropped")) {
      const int lost = Number(line, "lines=").value_or(0);
      reported += lost;
      to_come += lost;
      continue;
    }
    const int number = Number(line).value_or(-1);
    const int gap = number - std::exchange(previous, number) - 1;
    EXPECT_GE(gap, 0) << "in order";
    EXPECT_LE(gap, to_come) << "no gap before it is reported";
    to_come -= gap;
    ++written;
  }
  EXPECT_EQ(reported, dropped);
  EXPECT_EQ(written + dropped, kLines);
  EXPECT_EQ(Number(lines.back()), kLines - 1) << "the newest are kept";
}

TEST_F(PipeTest, AReaderThatGoesAwayCostsTheLinesOnly) {
  signal(SIGPIPE, SIG_IGN);
  close(std::exchange(ends_[0], -1));
  for (int i = 0; i < 10; ++i) logger_->Info("line");
  EXPECT_TRUE(logger_->Flush(absl::Seconds(60)));
  EXPECT_EQ(logger_->dropped(), 10);
  logger_.reset();
}

TEST_F(PipeTest, WaitsForADescriptorThatDoesNotWaitItself) {
  ASSERT_EQ(fcntl(ends_[1], F_SETFL, O_NONBLOCK), 0);
  for (int i = 0; i < 500; ++i) logger_->Info("line", {{"n", int64_t{i}}});
  const std::vector<std::string> lines = Lines();
  ASSERT_EQ(lines.size(), 500);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(Number(lines[i]), i);
}

TEST_F(PipeTest, LinesOfCallsThatDoNotEndWellAreLimitedByCode) {
  constexpr int kCalls = Logger::kLimit + 10;
  for (int i = 0; i < kCalls; ++i) {
    for (const absl::Status& status :
         {absl::UnavailableError(""), absl::UnauthenticatedError(""), absl::OkStatus()}) {
      logger_->Call(status, {{"code", absl::StatusCodeToString(status.code())}});
    }
    logger_->Library("grpc", "handshake failed");
  }
  const std::vector<std::string> lines = Lines();
  const auto count = [&](absl::string_view text) {
    return std::count_if(lines.begin(), lines.end(),
                         [&](const std::string& l) { return absl::StrContains(l, text); });
  };
  EXPECT_EQ(count("code=UNAVAILABLE"), Logger::kLimit);
  EXPECT_EQ(count("code=UNAUTHENTICATED"), Logger::kLimit);
  EXPECT_EQ(count("code=OK"), kCalls);
  EXPECT_EQ(count("grpc text=\"handshake failed\""), Logger::kLimit);
  EXPECT_EQ(count("left out"), 3);
  EXPECT_EQ(count("kind=UNAVAILABLE lines=10"), 1);
}

TEST_F(PipeTest, ThreadsLogAtATime) {
  constexpr int kThreads = 4;
  constexpr int kLines = 400;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < kLines; ++i) {
        logger_->Info("line", {{"t", int64_t{t}}, {"n", int64_t{i}}});
        logger_->Call(absl::UnavailableError(""), {});
        if (i % 100 == 0) logger_->SumUp();
        EXPECT_EQ(logger_->dropped(), 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::array<int, kThreads> next{};
  for (const std::string& line : Lines()) {
    const std::optional<int> t = Number(line, " t=");
    if (!t.has_value()) continue;
    EXPECT_EQ(Number(line, " n="), next[*t]++) << line;
  }
  EXPECT_THAT(next, ::testing::Each(kLines));
}

}  // namespace
}  // namespace varserve::telemetry
