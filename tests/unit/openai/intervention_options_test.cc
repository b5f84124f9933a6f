#include "server/openai/intervention_options.h"

#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varserve::openai {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

v1::VarOptions Read(const json& object) {
  v1::VarOptions options;
  const absl::Status status = ReadOptions(object, "var", options);
  EXPECT_TRUE(status.ok()) << status;
  return options;
}

TEST(InterventionOptionsTest, EveryFieldByItsName) {
  const v1::VarOptions options = Read({{"mode", "on"},
                                       {"variant", "authors_code"},
                                       {"preset", "vision_centric"},
                                       {"detail", "maps"},
                                       {"tau", 20},
                                       {"rho", 0.5},
                                       {"p", 0.25},
                                       {"min_visual_attention", 0},
                                       {"first_layer", 0},
                                       {"last_layer", 3},
                                       {"map_layers", {1, 2}}});
  EXPECT_EQ(options.mode(), v1::VAR_MODE_ON);
  EXPECT_EQ(options.variant(), v1::VAR_VARIANT_AUTHORS_CODE);
  EXPECT_EQ(options.preset(), v1::VAR_PRESET_VISION_CENTRIC);
  EXPECT_EQ(options.detail(), v1::VAR_DETAIL_MAPS);
  EXPECT_EQ(options.tau(), 20.0F);
  EXPECT_EQ(options.rho(), 0.5F);
  EXPECT_EQ(options.p(), 0.25F);
  EXPECT_TRUE(options.has_min_visual_attention() && options.has_first_layer());
  EXPECT_EQ(options.last_layer(), 3U);
  EXPECT_THAT(options.map_layers(), ElementsAre(1, 2));
}

TEST(InterventionOptionsTest, ProtobufsOwnNamesToo) {
  const v1::VarOptions options =
      Read({{"mode", "VAR_MODE_OBSERVE"}, {"minVisualAttention", 0.5}, {"tau", nullptr}});
  EXPECT_EQ(options.mode(), v1::VAR_MODE_OBSERVE);
  EXPECT_EQ(options.min_visual_attention(), 0.5F);
  EXPECT_FALSE(options.has_tau());
}

TEST(InterventionOptionsTest, TheRestStays) {
  v1::VarOptions options;
  options.set_mode(v1::VAR_MODE_ON);
  options.add_map_layers(7);
  ASSERT_TRUE(ReadOptions({{"p", 0.5}, {"map_layers", {1}}}, "var", options).ok());
  EXPECT_EQ(options.mode(), v1::VAR_MODE_ON);
  EXPECT_THAT(options.map_layers(), ElementsAre(1));
}

TEST(InterventionOptionsTest, ProblemsNameTheField) {
  for (const auto& [object, problem] : std::vector<std::pair<json, std::string>>{
           {1, "var: is a number, not an object"},
           {{{"mode", "sometimes"}}, "var.mode: is \"sometimes\", not one of off, observe, on"},
           {{{"mode", 3}}, "var.mode: is 3, not one of off, observe, on"},
           {{{"rho", "high"}}, "var.rho: is \"high\", not a number"},
           {{{"first_layer", -1}}, "var.first_layer: is -1, not an integer"},
           {{{"map_layers", {"a"}}}, "var.map_layers: is [\"a\"], not a list of integers"},
           {{{"roh", 1}},
            "var.roh: is not known; there is mode, variant, preset, tau, rho, p, min_visual_attention, "
            "first_layer, "
            "last_layer, detail, map_layers"}}) {
    v1::VarOptions options;
    EXPECT_EQ(std::string(ReadOptions(object, "var", options).message()), problem);
  }
}

}  // namespace
}  // namespace varserve::openai
