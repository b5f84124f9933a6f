#include "server/telemetry/logging.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

namespace varserve::telemetry {
namespace {

using Format = Logger::Format;

TEST(LoggerTest, NamesTheFlagThatIsWrong) {
  EXPECT_EQ(Logger::Create("xml", "info").status().message(), "log_format: \"xml\" is not text or json");
  EXPECT_EQ(Logger::Create("text", "loud").status().message(),
            "log_level: \"loud\" is not debug, info, warning or error");
  EXPECT_FALSE(Logger::Create("text", "off").ok());
  for (const char* level : {"debug", "info", "warning", "error"})
    EXPECT_TRUE(Logger::Create("json", level).ok());
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

TEST(LoggerTest, WritesALineATime) {
  testing::internal::CaptureStderr();
  {
    const auto logger = Logger::Create("json", "info");
    ASSERT_TRUE(logger.ok());
    (*logger)->Debug("not asked for");
    (*logger)->Warning("request", {{"code", "INTERNAL"}});
  }
  const std::string written = testing::internal::GetCapturedStderr();
  ASSERT_EQ(std::count(written.begin(), written.end(), '\n'), 1);
  const nlohmann::json line = nlohmann::json::parse(written);
  EXPECT_EQ(line["level"], "warning");
  EXPECT_EQ(line["code"], "INTERNAL");
  EXPECT_EQ(line["time"].get<std::string>().size(), std::string("2026-01-02T03:04:05.678Z").size());
}

}  // namespace
}  // namespace varserve::telemetry
