// What a contrast's sibling is asked, and which methods go together.
#include "server/chat/sibling_prompt.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/chat/method_settings.h"
#include "tests/testing/files.h"
#include "tests/testing/picture_files.h"
#include "tests/testing/small_preprocessor.h"

namespace varserve::chat {
namespace {

using interventions::DisturbedInstruction;
using interventions::NoisyPictures;
using interventions::NoPictures;
using interventions::SiblingPrompt;
using text::ImagePart;
using text::Message;
using text::Role;

class SiblingPromptTest : public ::testing::Test {
 protected:
  Prompt Build(const std::vector<Message>& messages, bool with_picture = true) const {
    std::vector<std::shared_ptr<const ProcessedImage>> images;
    if (with_picture) images.push_back(picture_);
    return *preprocessor_->prompt_builder().Build(messages, images);
  }
  std::shared_ptr<const Prompt> Sibling(const std::vector<Message>& messages,
                                        const SiblingPrompt& sibling) const {
    auto made = MakeSiblingPrompt(preprocessor_->prompt_builder(), messages, Build(messages), sibling, 256);
    EXPECT_TRUE(made.ok()) << made.status();
    return *made;
  }

  const std::unique_ptr<const Preprocessor> preprocessor_ = testing::LoadSmallPreprocessor();
  const std::shared_ptr<const ProcessedImage> picture_ =
      *preprocessor_->ProcessImage(testing::JpegKinds()[0].make(60, 40, 1), {}, NeverStop);
  const std::vector<Message> question_ = {{Role::kUser, {ImagePart{}, "What is it?"}}};
};

TEST_F(SiblingPromptTest, HasNoiseOnThePicturesOfTheSamePrompt) {
  const Prompt own = Build(question_);
  const auto noisy = Sibling(question_, NoisyPictures{.step = 500, .seed = 3});
  EXPECT_EQ(noisy->token_ids, own.token_ids);
  EXPECT_EQ(noisy->prefix_size(), own.prefix_size());
  EXPECT_NE(noisy->images[0]->digest, picture_->digest);
  EXPECT_EQ(noisy->images[0]->original, picture_);
}

TEST_F(SiblingPromptTest, HasTheDisturbanceBeforeTheLastText) {
  const auto disturbed = Sibling(question_, DisturbedInstruction{"Guess."});
  EXPECT_EQ(disturbed->token_ids, Build({{Role::kUser, {ImagePart{}, "Guess. What is it?"}}}).token_ids);
  EXPECT_EQ(disturbed->images[0], picture_);

  const std::vector<Message> turns = {
      {Role::kUser, {"Look:", ImagePart{}}}, {Role::kAssistant, {"Yes?"}}, {Role::kUser, {"What is it?"}}};
  std::vector<Message> expected = turns;
  expected[2].parts = {"Guess. What is it?"};
  EXPECT_EQ(Sibling(turns, DisturbedInstruction{"Guess."})->token_ids, Build(expected).token_ids);

  const std::vector<Message> only_picture = {{Role::kUser, {ImagePart{}}}};
  EXPECT_EQ(Sibling(only_picture, DisturbedInstruction{"Guess."})->token_ids,
            Build({{Role::kUser, {ImagePart{}, "Guess."}}}).token_ids);
}

TEST_F(SiblingPromptTest, HasNoPictures) {
  const auto without = Sibling(question_, NoPictures{});
  EXPECT_EQ(without->token_ids, Build({{Role::kUser, {"What is it?"}}}, false).token_ids);
  EXPECT_TRUE(without->images.empty());
  EXPECT_GT(Sibling({{Role::kUser, {ImagePart{}}}}, NoPictures{})->size(), 0);
}

TEST_F(SiblingPromptTest, IsNotMadeWithoutAPicture) {
  const std::vector<Message> text = {{Role::kUser, {"What is it?"}}};
  for (const SiblingPrompt& sibling :
       {SiblingPrompt(NoisyPictures{}), SiblingPrompt(DisturbedInstruction{"x"}),
        SiblingPrompt(NoPictures{})}) {
    const auto made =
        MakeSiblingPrompt(preprocessor_->prompt_builder(), text, Build(text, false), sibling, 256);
    ASSERT_TRUE(made.ok());
    EXPECT_EQ(*made, nullptr);
  }
}

TEST_F(SiblingPromptTest, MustFitTheContext) {
  const Prompt own = Build(question_);
  const auto made =
      MakeSiblingPrompt(preprocessor_->prompt_builder(), question_, own,
                        DisturbedInstruction{"Guess what this could be, if it were one."}, own.size() + 2);
  EXPECT_TRUE(absl::IsInvalidArgument(made.status()));
  EXPECT_THAT(std::string(made.status().message()),
              ::testing::StartsWith("the sibling's prompt: messages: "));
}

class MethodSettingsTest : public ::testing::Test {
 protected:
  static absl::StatusOr<MethodSettings> Read(const v1::Intervention& intervention) {
    const interventions::Defaults defaults{
        .var = {.mode = interventions::Mode::kOn, .profile_tau = 20.0F, .num_layers = 4},
        .attention = {.num_layers = 4, .num_heads = 2}};
    const auto setting = MethodsOf("intervention", intervention);
    if (!setting.ok()) return setting.status();
    return ReadMethods(*setting, defaults);
  }
};

TEST_F(MethodSettingsTest, AContrastAloneLeavesAttentionAsItIs) {
  v1::Intervention intervention;
  intervention.mutable_vcd();
  const auto methods = Read(intervention);
  ASSERT_TRUE(methods.ok()) << methods.status();
  EXPECT_EQ(methods->attention->intervention(), nullptr) << "whatever the server's default is";
  EXPECT_EQ(std::string(methods->contrast->method), "vcd");
  intervention.mutable_pai();
  EXPECT_NE(Read(intervention)->attention->intervention(), nullptr);
  EXPECT_EQ(Read(intervention)->contrast_field, "intervention.vcd");
}

TEST_F(MethodSettingsTest, PaiBringsItsOwnContrast) {
  v1::Intervention intervention;
  intervention.mutable_pai();
  EXPECT_EQ(Read(intervention)->contrast, nullptr);
  intervention.mutable_pai()->set_gamma(1.1F);
  EXPECT_EQ(std::string(Read(intervention)->contrast->method), "pai");
  intervention.mutable_icd();
  EXPECT_EQ(std::string(Read(intervention).status().message()),
            "intervention.pai.gamma: is a contrast, which cannot be combined with another one, "
            "intervention.icd; leave one of them out");
}

TEST_F(MethodSettingsTest, ErrorsNameTheField) {
  v1::Intervention intervention;
  intervention.mutable_m3id()->set_beta(2);
  EXPECT_EQ(std::string(Read(intervention).status().message()), "intervention.m3id.beta: 2 is not in [0, 1]");
  intervention.mutable_pai()->set_alpha(11);
  EXPECT_EQ(std::string(Read(intervention).status().message()),
            "intervention.pai.alpha: 11 is not in [0, 10]");
  intervention.mutable_spin()->set_suppressed_gain(2);
  EXPECT_EQ(std::string(Read(intervention).status().message()),
            "intervention.spin.suppressed_gain: 2 is not in [0, 1]");
}

}  // namespace
}  // namespace varserve::chat
