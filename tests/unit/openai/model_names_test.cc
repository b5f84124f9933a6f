#include "server/openai/model_names.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varserve::openai {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::Model Model(bool has_profile) {
  v1::Model model;
  model.set_name("llava");
  if (has_profile) model.mutable_var_profile();
  return model;
}

TEST(ModelNamesTest, EachNameIsASetting) {
  EXPECT_THAT(NamesOf(Model(true)),
              ElementsAre("llava", "llava+var", "llava+var-general", "llava+var-hallucination",
                          "llava+var-vision_centric", "llava+observe"));
  EXPECT_EQ(SettingOf("llava", Model(true))->ByteSizeLong(), 0U);
  EXPECT_EQ(SettingOf("llava+var", Model(true))->mode(), v1::VAR_MODE_ON);
  EXPECT_EQ(SettingOf("llava+var", Model(true))->preset(), v1::VAR_PRESET_UNSPECIFIED);
  EXPECT_EQ(SettingOf("llava+var-vision_centric", Model(true))->preset(), v1::VAR_PRESET_VISION_CENTRIC);
  EXPECT_EQ(SettingOf("llava+observe", Model(true))->mode(), v1::VAR_MODE_OBSERVE);
}

TEST(ModelNamesTest, AModelWithoutProfileHasOneName) {
  EXPECT_THAT(NamesOf(Model(false)), ElementsAre("llava"));
  EXPECT_TRUE(absl::IsNotFound(SettingOf("llava+var", Model(false)).status()));
}

TEST(ModelNamesTest, OtherNamesAreNotServed) {
  for (const char* name : {"", "gpt-4o", "llava+", "llava+var-", "llava+var-loud", "LLAVA"}) {
    const absl::Status status = SettingOf(name, Model(true)).status();
    EXPECT_TRUE(absl::IsNotFound(status)) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("llava+observe"));
  }
}

}  // namespace
}  // namespace varserve::openai
