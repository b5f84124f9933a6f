#include "tools/calibrate/profile_file.h"

#include <gmock/gmock.h>

#include <fstream>

#include "tests/testing/temp_dir.h"
#include "tests/unit/calibrate/observations.h"

namespace varserve::calibrate {
namespace {

TEST(ProfileFileTest, SaysWhatMeasuredIt) {
  const auto profile = ProfileJson(MakeCalibration(), "SmolLM2-135M", "varserve-calibrate 1.2.3");
  EXPECT_EQ(profile["sink_dimensions"].dump(), "[7,11]");
  EXPECT_EQ(profile["tau"], 17.5);
  EXPECT_EQ(profile["decoder"], "SmolLM2-135M");
  EXPECT_EQ(profile["source"], "varserve-calibrate 1.2.3");
  EXPECT_EQ(profile["layers"].dump(), "[1,3]");
  EXPECT_EQ(profile["precision"], 0.667);
}

TEST(ProfileFileTest, WritesAndReplaces) {
  const testing::TempDir dir;
  const std::string path = dir.Write("var_profile.json", "old");
  ASSERT_TRUE(WriteProfile({{"tau", 3}}, path).ok());
  EXPECT_EQ(nlohmann::json::parse(std::ifstream(path)), nlohmann::json({{"tau", 3}}));
  const absl::Status status = WriteProfile({{"tau", 3}}, dir.path() + "/no/such/folder.json");
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("--out: "));
}

TEST(ProfileFileTest, FindingsHoldVotesAndLayers) {
  const auto findings = FindingsJson({{507, 0.9}, {247, 0.1}}, MakeCalibration());
  EXPECT_EQ(findings["votes"]["507"], 0.9);
  ASSERT_EQ(findings["layers"].size(), kLayers);
  EXPECT_EQ(findings["layers"][1]["visual_sinks"], 2.0);
}

}  // namespace
}  // namespace varserve::calibrate
