#include <cmath>
#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/interventions/var/options.h"

namespace varserve::interventions {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr VarDefaults kDefaults = {.profile_tau = 21.5F, .num_layers = 30};

TEST(VarOptionsTest, DefaultsAreTheServersAndTheProfiles) {
  VarDefaults defaults = kDefaults;
  defaults.mode = Mode::kOn;
  defaults.preset = VarPreset::kHallucination;
  const auto read = ReadVarOptions({}, defaults);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->settings.mode, Mode::kOn);
  EXPECT_EQ(read->settings.variant, VarVariant::kPaper);
  EXPECT_EQ(read->settings.tau, 21.5F);
  EXPECT_EQ(read->settings.rho, 0.5F);
  EXPECT_EQ(read->settings.p, 0.6F);
  EXPECT_EQ(read->settings.min_visual_attention, 0.2F);
  EXPECT_EQ(read->settings.first_layer, 0);
  EXPECT_EQ(read->settings.last_layer, 28);
  EXPECT_EQ(read->detail, v1::VAR_DETAIL_LAYERS);
}

TEST(VarOptionsTest, PresetsAreRhoAndTheAuthorsCodeHasItsOwnDefaults) {
  v1::VarOptions options;
  options.set_mode(v1::VAR_MODE_ON);
  const std::pair<v1::VarPreset, float> presets[] = {{v1::VAR_PRESET_GENERAL, 0.8F},
                                                     {v1::VAR_PRESET_HALLUCINATION, 0.5F},
                                                     {v1::VAR_PRESET_VISION_CENTRIC, 0.9F}};
  for (const auto& [preset, rho] : presets) {
    options.set_preset(preset);
    EXPECT_EQ(ReadVarOptions(options, kDefaults)->settings.rho, rho);
  }
  options.clear_preset();
  options.set_variant(v1::VAR_VARIANT_AUTHORS_CODE);
  const auto read = ReadVarOptions(options, kDefaults);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->settings.variant, VarVariant::kAuthorsCode);
  EXPECT_EQ(read->settings.rho, 0.5F);
  EXPECT_EQ(read->settings.p, 0.4F);
  EXPECT_EQ(read->settings.first_layer, 2);
  EXPECT_EQ(read->settings.last_layer, 29);
}

TEST(VarOptionsTest, FieldsWithoutAModeNeedADefaultThatUsesThem) {
  v1::VarOptions options;
  options.set_preset(v1::VAR_PRESET_HALLUCINATION);
  VarDefaults defaults = kDefaults;
  defaults.mode = Mode::kOff;
  EXPECT_THAT(std::string(ReadVarOptions(options, defaults).status().message()),
              ::testing::StartsWith("mode: is not set"));
  EXPECT_TRUE(ReadVarOptions({}, defaults).ok());
  defaults.mode = Mode::kOn;
  EXPECT_EQ(ReadVarOptions(options, defaults)->settings.rho, 0.5F);
  defaults.mode = Mode::kOff;
  options.set_mode(v1::VAR_MODE_OFF);
  EXPECT_TRUE(ReadVarOptions(options, defaults).ok());
}

TEST(VarOptionsTest, ZeroIsAValue) {
  v1::VarOptions options;
  options.set_mode(v1::VAR_MODE_ON);
  options.set_rho(0);
  options.set_p(0);
  options.set_min_visual_attention(0);
  options.set_last_layer(0);
  const auto read = ReadVarOptions(options, kDefaults);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->settings.rho, 0.0F);
  EXPECT_EQ(read->settings.p, 0.0F);
  EXPECT_EQ(read->settings.min_visual_attention, 0.0F);
  EXPECT_EQ(read->settings.last_layer, 0);
}

TEST(VarOptionsTest, EffectiveSettingHasEveryField) {
  v1::VarOptions options;
  options.set_mode(v1::VAR_MODE_ON);
  options.set_rho(0.3F);
  options.set_detail(v1::VAR_DETAIL_TOKENS);
  const auto read = ReadVarOptions(options, kDefaults);
  ASSERT_TRUE(read.ok());
  const v1::VarOptions& effective = read->effective;
  EXPECT_EQ(effective.mode(), v1::VAR_MODE_ON);
  EXPECT_EQ(effective.variant(), v1::VAR_VARIANT_PAPER);
  EXPECT_EQ(effective.preset(), v1::VAR_PRESET_GENERAL);
  EXPECT_TRUE(effective.has_tau() && effective.has_p() && effective.has_min_visual_attention());
  EXPECT_TRUE(effective.has_first_layer() && effective.has_last_layer());
  EXPECT_EQ(effective.rho(), 0.3F);
  EXPECT_EQ(effective.detail(), v1::VAR_DETAIL_TOKENS);
  const auto again = ReadVarOptions(effective, kDefaults);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->effective.SerializeAsString(), effective.SerializeAsString()) << "and says the same again";
}

TEST(VarOptionsTest, MapsAreMadeWhereTheyAreAskedForAndMeasured) {
  v1::VarOptions options;
  options.set_mode(v1::VAR_MODE_OBSERVE);
  options.set_detail(v1::VAR_DETAIL_MAPS);
  options.set_first_layer(3);
  options.set_last_layer(5);
  EXPECT_THAT(ReadVarOptions(options, kDefaults)->map_layers, ElementsAre(3, 4, 5));
  for (const uint32_t layer : {9U, 2U, 9U}) options.add_map_layers(layer);
  EXPECT_THAT(ReadVarOptions(options, kDefaults)->map_layers, ElementsAre(2, 9));
  options.set_mode(v1::VAR_MODE_OFF);
  EXPECT_THAT(ReadVarOptions(options, kDefaults)->map_layers, IsEmpty());
  options.set_mode(v1::VAR_MODE_OBSERVE);
  options.set_detail(v1::VAR_DETAIL_TOKENS);
  EXPECT_THAT(ReadVarOptions(options, kDefaults)->map_layers, IsEmpty());
}

TEST(VarOptionsTest, NamesTheFieldOutOfRange) {
  using Options = v1::VarOptions;
  const float nan = std::nanf("");
  const std::pair<std::string, std::function<void(Options&)>> cases[] = {
      {"mode: 9", [](Options& o) { o.set_mode(static_cast<v1::VarMode>(9)); }},
      {"variant: 9", [](Options& o) { o.set_variant(static_cast<v1::VarVariant>(9)); }},
      {"preset: 9", [](Options& o) { o.set_preset(static_cast<v1::VarPreset>(9)); }},
      {"detail: 9", [](Options& o) { o.set_detail(static_cast<v1::VarDetail>(9)); }},
      {"tau: ", [](Options& o) { o.set_tau(0); }},
      {"tau: ", [](Options& o) { o.set_tau(1001); }},
      {"rho: ", [](Options& o) { o.set_rho(-0.1F); }},
      {"rho: ", [nan](Options& o) { o.set_rho(nan); }},
      {"p: ", [](Options& o) { o.set_p(1.1F); }},
      {"min_visual_attention: ", [](Options& o) { o.set_min_visual_attention(2); }},
      {"first_layer: ", [](Options& o) { o.set_first_layer(30); }},
      {"last_layer: ", [](Options& o) { o.set_last_layer(30); }},
      {"first_layer: ",
       [](Options& o) {
         o.set_first_layer(4);
         o.set_last_layer(3);
       }},
      {"map_layers[1]: ",
       [](Options& o) {
         o.add_map_layers(29);
         o.add_map_layers(30);
       }},
  };
  for (const auto& [field, change] : cases) {
    Options options;
    options.set_mode(v1::VAR_MODE_ON);
    change(options);
    const absl::Status status = ReadVarOptions(options, kDefaults).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << field << status;
    EXPECT_THAT(std::string(status.message()), StartsWith(field));
  }
}

TEST(VarOptionsTest, NeedsAProfileUnlessOff) {
  const VarDefaults without = {.profile_tau = std::nullopt, .num_layers = 30};
  v1::VarOptions options;
  EXPECT_TRUE(ReadVarOptions(options, without).ok());
  for (const v1::VarMode mode : {v1::VAR_MODE_OBSERVE, v1::VAR_MODE_ON}) {
    options.set_mode(mode);
    const absl::Status status = ReadVarOptions(options, without).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status));
    EXPECT_THAT(std::string(status.message()), StartsWith("mode: "));
  }
}

}  // namespace
}  // namespace varserve::interventions
