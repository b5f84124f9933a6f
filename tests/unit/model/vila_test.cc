// VILA's family: config.json as ./dev convert writes it, and what its image processor makes of it.
#include <gmock/gmock.h>

#include <string>

#include "nlohmann/json.hpp"
#include "server/model/model_config.h"
#include "tests/testing/temp_dir.h"
#include "tests/unit/model/published_configs.h"

namespace varserve::model {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(VilaTest, AsConverted) {
  const auto c = ModelConfig::Parse(json::parse(kVilaConfig), nullptr);
  ASSERT_TRUE(c.ok()) << c.status();
  EXPECT_EQ(c->decoder.head_dim, 128);
  EXPECT_EQ(c->vision.kind, VisionConfig::Kind::kSiglip);
  EXPECT_EQ(c->vision.merge_size, 2);
  EXPECT_THAT(c->vision_feature_layers, ElementsAre(26));
  EXPECT_FALSE(c->drop_class_token);
  EXPECT_TRUE(c->projector_norm);
  EXPECT_TRUE(c->flat_square);
  EXPECT_EQ(c->projector_layers, 2);
  EXPECT_EQ(c->image_token_id, 0);
}

TEST(VilaTest, TheLayoutOfItsOwnCodeIsRefused) {
  const auto c = ModelConfig::Parse({{"model_type", "llava_llama"}}, nullptr);
  EXPECT_THAT(std::string(c.status().message()), HasSubstr("./dev convert"));
}

// Of SigLIP's 27 x 27 patches, the last row and column of which are filled up.
// VILA's images have no text of their own.
absl::StatusOr<std::vector<int>> NoText(absl::string_view /*text*/) {
  return absl::InternalError("no text is to be encoded");
}

TEST(VilaTest, Has14By14VisualTokens) {
  const auto c = ModelConfig::Parse(json::parse(kVilaConfig), nullptr);
  ASSERT_TRUE(c.ok()) << c.status();
  const varserve::testing::TempDir dir;
  dir.Write("preprocessor_config.json", R"({"image_processor_type": "CLIPImageProcessor",
      "size": {"height": 384, "width": 384}, "do_center_crop": false})");
  const auto processor = c->family->image_processor(*c, dir.path(), /*max_image_tokens=*/0, NoText);
  ASSERT_TRUE(processor.ok()) << processor.status();
  const ImageLayout& layout = *(*processor)->largest().layout;
  EXPECT_EQ(layout.rows, 14);
  EXPECT_EQ(layout.cols, 14);
  EXPECT_EQ(layout.num_visual_tokens(), 196);
  EXPECT_EQ(layout.cells[1], 14) << "below the first";
  const auto plan = (*processor)->MakePlan(768, 384, /*orientation=*/1);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_FLOAT_EQ(plan->region.right, 392.0F / 384.0F);
  EXPECT_FLOAT_EQ(plan->region.bottom, 392.0F / 384.0F);
  EXPECT_THAT(std::string(c->family->image_processor(*c, dir.path(), 100, NoText).status().message()),
              HasSubstr("--max_image_tokens"));
}

}  // namespace
}  // namespace varserve::model
