#include "client/cli/message_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/cli/request_flags.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(SetField, TakesEveryKind) {
  v1::VarOptions var;
  ASSERT_TRUE(SetField("mode", "on", var).ok());
  ASSERT_TRUE(SetField("preset", "vision-centric", var).ok());
  ASSERT_TRUE(SetField("variant", "AUTHORS_CODE", var).ok());
  ASSERT_TRUE(SetField("rho", "0.25", var).ok());
  ASSERT_TRUE(SetField("first-layer", "0", var).ok());
  ASSERT_TRUE(SetField("map_layers", "3-5", var).ok());
  ASSERT_TRUE(SetField("map_layers", "9", var).ok());
  EXPECT_EQ(var.mode(), v1::VAR_MODE_ON);
  EXPECT_EQ(var.preset(), v1::VAR_PRESET_VISION_CENTRIC);
  EXPECT_EQ(var.variant(), v1::VAR_VARIANT_AUTHORS_CODE);
  EXPECT_EQ(var.rho(), 0.25F);
  EXPECT_TRUE(var.has_first_layer());
  EXPECT_FALSE(var.has_tau());
  EXPECT_THAT(var.map_layers(), ElementsAre(3, 4, 5, 9));

  v1::GenerateOptions generate;
  ASSERT_TRUE(SetField("seed", "18446744073709551615", generate).ok());
  ASSERT_TRUE(SetField("stop", "a, b", generate).ok());
  ASSERT_TRUE(SetField("ignore_eos", "true", generate).ok());
  EXPECT_EQ(generate.seed(), 18446744073709551615U);
  EXPECT_THAT(generate.stop(), ElementsAre("a, b"));
  EXPECT_TRUE(generate.ignore_eos());
}

TEST(SetField, TakesTheGreatestNumber) {
  v1::VarOptions var;
  ASSERT_TRUE(SetField("map_layers", "4294967294-4294967295", var).ok());
  EXPECT_THAT(var.map_layers(), ElementsAre(4294967294U, 4294967295U));
}

TEST(EnumName, IsTheNumberOfAValueOfANewerServer) {
  EXPECT_EQ(EnumName(v1::VAR_PRESET_VISION_CENTRIC), "vision-centric");
  EXPECT_EQ(EnumName(static_cast<v1::VarPreset>(99)), "99");
  EXPECT_EQ(EnumName(static_cast<v1::VarPreset>(-1)), "-1");
}

TEST(SetField, SaysWhatIsWrong) {
  v1::VarOptions var;
  v1::GenerateOptions generate;
  EXPECT_THAT(std::string(SetField("mode", "maybe", var).message()),
              AllOf(StartsWith("mode: "), HasSubstr("off, observe, on")));
  EXPECT_THAT(std::string(SetField("mode", "unspecified", var).message()), StartsWith("mode: "));
  EXPECT_THAT(std::string(SetField("rho", "half", var).message()), StartsWith("rho: "));
  EXPECT_THAT(std::string(SetField("first_layer", "-1", var).message()), StartsWith("first_layer: "));
  EXPECT_THAT(std::string(SetField("map_layers", "5-3", var).message()), StartsWith("map_layers: "));
  EXPECT_THAT(std::string(SetField("map_layers", "0-4294967295", var).message()), StartsWith("map_layers: "));
  EXPECT_THAT(std::string(SetField("seed", "18446744073709551616", generate).message()),
              StartsWith("seed: "));
  EXPECT_THAT(std::string(SetField("stop", "caf\xe9", generate).message()),
              AllOf(StartsWith("stop: "), HasSubstr("UTF-8")));
  EXPECT_THAT(std::string(SetField("rhoo", "1", var).message()),
              AllOf(StartsWith("rhoo: "), HasSubstr("rho")));
}

TEST(ParseVarSetting, IsAModeAndFields) {
  const auto setting = ParseVarSetting("on,rho=0.5,first_layer=4,detail=tokens");
  ASSERT_TRUE(setting.ok()) << setting.status();
  EXPECT_EQ(setting->mode(), v1::VAR_MODE_ON);
  EXPECT_EQ(setting->rho(), 0.5F);
  EXPECT_EQ(setting->first_layer(), 4);
  EXPECT_EQ(setting->detail(), v1::VAR_DETAIL_TOKENS);
  EXPECT_EQ(ParseVarSetting("mode=observe")->mode(), v1::VAR_MODE_OBSERVE);
}

TEST(ParseVarSetting, SaysWhatIsWrong) {
  for (const char* text : {"", "on,", "on,rho", "rho=", "on,what=1", "=1"}) {
    EXPECT_EQ(ParseVarSetting(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

}  // namespace
}  // namespace varserve::cli
