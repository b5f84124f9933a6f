#include "server/interventions/var/var_intervention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "server/interventions/attention_row.h"
#include "tests/testing/image_span.h"

namespace varserve::interventions {
namespace {

constexpr VarSettings kPaper = {.mode = Mode::kOn, .tau = 5.0F, .p = 0.7F, .first_layer = 1, .last_layer = 2};

VarSettings AuthorsCode() {
  VarSettings settings = kPaper;
  settings.variant = VarVariant::kAuthorsCode;
  return settings;
}

// Tokens: text 0, image 1..4, text 5, image 6..7, text 8.
Prompt TwoImages() {
  Prompt prompt;
  prompt.token_ids.assign(9, 50);
  prompt.spans = {testing::MakeSpan(1, 5, 2, 2), testing::MakeSpan(6, 8, 1, 2)};
  return prompt;
}

AttentionRow RowOf(const VarSettings& settings, int position) {
  const Prompt prompt = TwoImages();
  AttentionRow row;
  MakeVarIntervention(settings)->SetRow({.prompt = prompt, .position = position, .prompt_slots = 12}, row);
  return row;
}

TEST(VarInterventionTest, IsNoneWhereTheModeIsOff) {
  EXPECT_EQ(MakeVarIntervention({.mode = Mode::kOff}), nullptr);
  EXPECT_EQ(MakeVarIntervention({.mode = Mode::kObserve})->mode(), Mode::kObserve);
}

TEST(VarInterventionTest, ActsOnTextAfterTheFirstImage) {
  const Prompt prompt = TwoImages();
  const auto var = MakeVarIntervention(kPaper);
  std::vector<int> acted_on;
  for (int position = 0; position < 11; ++position) {
    if (var->ActsOn(prompt, position)) acted_on.push_back(position);
  }
  EXPECT_THAT(acted_on, ::testing::ElementsAre(5, 8, 9, 10));
  Prompt text;
  text.token_ids.assign(3, 50);
  EXPECT_FALSE(var->ActsOn(text, 2));
}

TEST(VarInterventionTest, SetsTheRowsItActsOn) {
  const AttentionRow untouched = RowOf(kPaper, 6);
  EXPECT_GT(untouched.first_layer, untouched.last_layer) << "a visual token";
  const AttentionRow paper = RowOf(kPaper, 5);
  EXPECT_EQ(paper.first_layer, 1);
  EXPECT_EQ(paper.last_layer, 2);
  EXPECT_EQ(paper.p, 0.7F);
  EXPECT_EQ(paper.tau, 5.0F);
  EXPECT_EQ(paper.sink_slots, std::numeric_limits<int32_t>::max());
  EXPECT_FALSE(paper.authors_code);
  VarSettings observe = kPaper;
  observe.mode = Mode::kObserve;
  EXPECT_EQ(RowOf(observe, 5).p, 0.0F);
}

// Sinks once, in the prompt, strictly above tau.
TEST(VarInterventionTest, AuthorsCodeFindsSinksInThePromptOnly) {
  const AttentionRow row = RowOf(AuthorsCode(), 9);
  EXPECT_TRUE(row.authors_code);
  EXPECT_EQ(row.tau, std::nextafter(5.0F, 6.0F));
  EXPECT_EQ(row.sink_slots, 12);
  const Prompt prompt = TwoImages();
  EXPECT_TRUE(MakeVarIntervention(AuthorsCode())->MayShare(prompt, 9));
  EXPECT_FALSE(MakeVarIntervention(AuthorsCode())->MayShare(prompt, 10));
  EXPECT_TRUE(MakeVarIntervention(kPaper)->MayShare(prompt, 10));
}

TEST(VarInterventionTest, RunsOnlyWhereTheModelHasItsLayersAndMeasures) {
  const auto var = MakeVarIntervention(kPaper);
  EXPECT_TRUE(var->Check(3, 2).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(var->Check(2, 2)));
  EXPECT_TRUE(absl::IsFailedPrecondition(var->Check(3, 0)));
}

}  // namespace
}  // namespace varserve::interventions
