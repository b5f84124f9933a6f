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
  const auto var_of = [](absl::string_view name) { return InterventionOf(name, Model(true))->var(); };
  EXPECT_EQ(InterventionOf("llava", Model(true))->ByteSizeLong(), 0U);
  EXPECT_EQ(var_of("llava+var").mode(), v1::VAR_MODE_ON);
  EXPECT_EQ(var_of("llava+var").preset(), v1::VAR_PRESET_UNSPECIFIED);
  EXPECT_EQ(var_of("llava+var-vision_centric").preset(), v1::VAR_PRESET_VISION_CENTRIC);
  EXPECT_EQ(var_of("llava+observe").mode(), v1::VAR_MODE_OBSERVE);
}

TEST(ModelNamesTest, OtherMethodsAreThoseThatTheServerHas) {
  v1::Model model = Model(false);
  model.add_interventions()->mutable_pai()->set_alpha(0.2F);
  model.add_interventions()->mutable_spin();
  EXPECT_THAT(NamesOf(model), ElementsAre("llava", "llava+pai", "llava+spin"));
  EXPECT_TRUE(InterventionOf("llava+pai", model)->has_pai());
  EXPECT_FALSE(InterventionOf("llava+pai", model)->pai().has_alpha());
  EXPECT_TRUE(absl::IsNotFound(InterventionOf("llava+vaf", model).status()));
}

TEST(ModelNamesTest, TheNameOfAContrastMayFollowAnother) {
  v1::Model model = Model(true);
  model.add_interventions()->mutable_pai();
  model.add_interventions()->mutable_vcd()->set_alpha(1);
  model.add_interventions()->mutable_icd();
  EXPECT_THAT(NamesOf(model), ::testing::IsSupersetOf({"llava+pai", "llava+vcd", "llava+icd"}));
  EXPECT_TRUE(InterventionOf("llava+vcd", model)->has_vcd());
  EXPECT_FALSE(InterventionOf("llava+vcd", model)->vcd().has_alpha());
  const auto combined = InterventionOf("llava+var-hallucination+icd", model);
  ASSERT_TRUE(combined.ok()) << combined.status();
  EXPECT_EQ(combined->var().preset(), v1::VAR_PRESET_HALLUCINATION);
  EXPECT_TRUE(combined->has_icd());
  EXPECT_TRUE(InterventionOf("llava+pai+vcd", model)->has_pai());
  for (const char* name : {"llava+vcd+pai", "llava+vcd+icd", "llava+pai+var", "llava+pai+vcd+icd"})
    EXPECT_TRUE(absl::IsNotFound(InterventionOf(name, model).status())) << name;
}

TEST(ModelNamesTest, AModelWithoutProfileHasOneName) {
  EXPECT_THAT(NamesOf(Model(false)), ElementsAre("llava"));
  EXPECT_TRUE(absl::IsNotFound(InterventionOf("llava+var", Model(false)).status()));
}

TEST(ModelNamesTest, WhatAModelMayBeCalled) {
  for (const std::string& name :
       {std::string("llava"), std::string("llava-hf/llava-1.5-7b-hf"), std::string("/models/a"),
        std::string("my model+var"), std::string("...x/.y"), std::string("\u30e2\u30c7\u30eb"),
        std::string(256, 'x')})
    EXPECT_EQ(NameProblem(name), "") << name;
  const std::pair<std::string, std::string> refused[] = {
      {"", "is empty"},
      {std::string(257, 'x'), "has 257 bytes, more than 256"},
      {"caf\xe9", "is not UTF-8"},
      {"caf\xc3", "is not UTF-8"},
      {" llava", "begins or ends with whitespace"},
      {"llava\n", "begins or ends with whitespace"},
      {"lla\nva", "has a control character"},
      {"lla\x7fva", "has a control character"},
      {"lla\xc2\x9bva", "has a control character"},
      {std::string("lla\0va", 6), "has a control character"},
      {"models/../llava", "has \"..\" as a segment of its path"},
      {".", "has \".\" as a segment of its path"}};
  for (const auto& [name, problem] : refused) EXPECT_EQ(NameProblem(name), problem);
}

TEST(ModelNamesTest, OtherNamesAreNotServed) {
  for (const char* name : {"", "gpt-4o", "llava+", "llava+var-", "llava+var-loud", "LLAVA"}) {
    const absl::Status status = InterventionOf(name, Model(true)).status();
    EXPECT_TRUE(absl::IsNotFound(status)) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("llava+observe"));
  }
}

}  // namespace
}  // namespace varserve::openai
