#include "server/telemetry/traceparent.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace varserve::telemetry {
namespace {

const std::string kValid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceparentTest, TakesWhatTheStandardShows) { EXPECT_TRUE(IsTraceparent(kValid)); }

TEST(TraceparentTest, RefusesWrongForms) {
  EXPECT_FALSE(IsTraceparent(""));
  EXPECT_FALSE(IsTraceparent(kValid.substr(1)));
  EXPECT_FALSE(IsTraceparent("ff" + kValid.substr(2)));
  EXPECT_FALSE(IsTraceparent("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"));
  EXPECT_FALSE(IsTraceparent("00-4bf92f3577b34da6a3ce929d0e0e473--00f067aa0ba902b7-01"));
  EXPECT_FALSE(IsTraceparent("00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01"));
  EXPECT_FALSE(IsTraceparent(absl::StrCat("00-", std::string(32, '0'), "-00f067aa0ba902b7-01")));
  EXPECT_FALSE(
      IsTraceparent(absl::StrCat("00-4bf92f3577b34da6a3ce929d0e0e4736-", std::string(16, '0'), "-01")));
  EXPECT_FALSE(IsTraceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g"));
}

TEST(TraceparentTest, OnlyLaterVersionsGoOn) {
  EXPECT_FALSE(IsTraceparent(kValid + "-more"));
  EXPECT_TRUE(IsTraceparent("01" + kValid.substr(2)));
  EXPECT_TRUE(IsTraceparent("01" + kValid.substr(2) + "-more"));
  EXPECT_FALSE(IsTraceparent("01" + kValid.substr(2) + "more"));
  EXPECT_FALSE(IsTraceparent("01" + kValid.substr(2) + "-\x01"));
  EXPECT_FALSE(IsTraceparent("01" + kValid.substr(2) + "-" + std::string(300, 'a')));
}

}  // namespace
}  // namespace varserve::telemetry
