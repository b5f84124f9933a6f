// Tiles of LlavaNextImageProcessor, and the tokens of an image. Pixels are compared with transformers' in
// image_golden_test.cc.
#include "server/image/llava_next_image_processor.h"

#include <tuple>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace varserve::image {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kImageToken = 9;
constexpr char kNext[] = "LlavaNextImageProcessor";

json Config(const json& changes = json::object()) {
  json config = {{"size", 4},
                 {"crop_size", 4},
                 {"image_grid_pinpoints", {{4, 8}, {8, 4}, {8, 8}}},
                 {"do_rescale", false},
                 {"do_normalize", false}};
  config.update(changes);
  return config;
}

std::unique_ptr<const LlavaNextImageProcessor> MakeProcessor() {
  const auto config = LlavaNextImageProcessorConfig::Parse(Config(), kNext);
  EXPECT_TRUE(config.ok()) << config.status();
  auto processor = LlavaNextImageProcessor::Create(*config, {.image_token = kImageToken, .side = 2}, 0);
  EXPECT_TRUE(processor.ok()) << processor.status();
  return *std::move(processor);
}

// Every pixel has its own value.
RgbImage Numbered(int width, int height) {
  RgbImage picture{.width = width, .height = height};
  for (int i = 0; i < width * height * 3; ++i) picture.rgb.push_back(static_cast<uint8_t>(i + 1));
  return picture;
}

TEST(LlavaNextImageProcessorTest, TheThumbnailIsFirstAndTilesAreBelowEachOther) {
  const RgbImage picture = Numbered(8, 4);
  const auto image = MakeProcessor()->Process(picture);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(std::tuple(image->height, image->width), std::tuple(12, 4));
  EXPECT_EQ(image->rgb.size(), 3U * 12 * 4);
  for (int y = 0; y < 4; ++y) {  // nothing was resized
    for (int x = 0; x < 8; ++x) {
      const int in_tiles = (((1 + x / 4) * 4 + y) * 4 + x % 4) * 3;
      EXPECT_EQ(image->rgb[in_tiles], picture.rgb[(y * 8 + x) * 3]) << x << " " << y;
    }
  }
  EXPECT_EQ(image->layout->size(), 4 + 2 * 5);
  EXPECT_EQ(std::tuple(image->region.left, image->region.right), std::tuple(0.0F, 1.0F));
}

TEST(LlavaNextImageProcessorTest, BlackIsAroundThePictureAndItsFeaturesAreLeftOut) {
  const auto image = MakeProcessor()->Process(Numbered(8, 1));  // in 2 tiles, below one row of black
  ASSERT_TRUE(image.ok()) << image.status();
  const size_t tile = size_t{3} * 4 * 4;
  EXPECT_EQ(image->rgb[tile], 0);          // the first row of the first tile
  EXPECT_EQ(image->rgb[tile + 4 * 3], 1);  // the second
  EXPECT_EQ(image->rgb[tile + 8 * 3], 0);  // the third
  // Of two rows of features, the picture would fill a quarter of one: none is kept.
  EXPECT_EQ(std::tuple(image->layout->joined->rows, image->layout->size()), std::tuple(0, 4));
  const auto wide = MakeProcessor()->Process(Numbered(8, 3));
  ASSERT_TRUE(wide.ok()) << wide.status();
  EXPECT_EQ(wide->layout->rows, 2);
  EXPECT_FLOAT_EQ(wide->region.top, 0.0F);
  EXPECT_FLOAT_EQ(wide->region.bottom, 4.0F / 3.0F) << "black below the picture";
}

// The same pixels in tiles that lie otherwise have other visual tokens.
TEST(LlavaNextImageProcessorTest, DigestsDependOnHowTilesLie) {
  const RgbImage across{.width = 8, .height = 4, .rgb = std::vector<uint8_t>(8 * 4 * 3, 7)};
  const RgbImage down{.width = 4, .height = 8, .rgb = std::vector<uint8_t>(8 * 4 * 3, 7)};
  const auto processor = MakeProcessor();
  const auto first = processor->Process(across);
  const auto second = processor->Process(down);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->rgb, second->rgb);
  EXPECT_NE(first->digest, second->digest);
}

// The features of four tiles are too many for anyres_max_1.
TEST(LlavaNextImageProcessorTest, OnevisionResizesFeaturesAndTakesOneOfSeveralWhole) {
  constexpr char kOnevision[] = "LlavaOnevisionImageProcessor";
  const auto config = LlavaNextImageProcessorConfig::Parse(Config({{"crop_size", nullptr}}), kOnevision);
  ASSERT_TRUE(config.ok()) << config.status();
  const auto processor =
      LlavaNextImageProcessor::Create(*config, {.image_token = kImageToken, .side = 2, .most_tiles = 1}, 0);
  ASSERT_TRUE(processor.ok()) << processor.status();
  const RgbImage picture = Numbered(8, 8);
  const auto alone = (*processor)->For(1).Process(picture);
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_EQ(alone->layout->size(), 4 + 2 * 3);
  EXPECT_EQ(std::tuple(alone->layout->joined->kept_rows, alone->layout->rows), std::tuple(4, 2));

  // A picture that fills two tiles has 2 x 4 features, resized to 1 x 2; one that fills half of them has 2
  // x 2.
  EXPECT_EQ((*processor)->largest().layout->size(), 4 + 2 * 3);
  const LlavaNextImageProcessor::TileTokens tokens{.image_token = kImageToken, .side = 2, .most_tiles = 1};
  EXPECT_THAT(std::string(LlavaNextImageProcessor::Create(*config, tokens, 7).status().message()),
              HasSubstr("up to 8 tokens"));

  const auto among = (*processor)->For(2).Process(picture);
  ASSERT_TRUE(among.ok()) << among.status();
  EXPECT_EQ(std::tuple(among->height, among->width), std::tuple(4, 4));
  EXPECT_EQ(std::tuple(among->layout->size(), among->layout->num_visual_tokens()), std::tuple(5, 4));
  const auto next = MakeProcessor();
  EXPECT_EQ(&next->For(2), next.get()) << "LLaVA-NeXT takes all alike";
}

TEST(LlavaNextImageProcessorTest, SmallestAndLargest) {
  const auto processor = MakeProcessor();
  EXPECT_EQ(processor->smallest().layout->size(), 4);
  const ImageShape largest = processor->largest();
  EXPECT_EQ(std::tuple(largest.tiles, largest.height, largest.width), std::tuple(5, 4, 4));
  EXPECT_EQ(largest.layout->size(), 4 + 4 * 5);
}

TEST(LlavaNextImageProcessorTest, LeavesOutArrangementsOfTooManyTokens) {
  const auto config = LlavaNextImageProcessorConfig::Parse(Config(), kNext);
  const LlavaNextImageProcessor::TileTokens tokens{.image_token = kImageToken, .side = 2};
  const auto small = LlavaNextImageProcessor::Create(*config, tokens, 19);
  ASSERT_TRUE(small.ok()) << small.status();
  EXPECT_EQ((*small)->largest().tiles, 3);
  EXPECT_THAT(std::string(LlavaNextImageProcessor::Create(*config, tokens, 11).status().message()),
              StartsWith("--max_image_tokens: is 11, but a picture in the fewest tiles has up to 12 tokens"));
}

TEST(LlavaNextImageProcessorTest, RefusesPicturesThatAreTooLong) {
  const absl::Status status = MakeProcessor()->MakePlan(200'000, 3, /*orientation=*/1).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), StartsWith("image: 200000 x 3 pixels"));
}

TEST(LlavaNextImageProcessorTest, ErrorsNameTheField) {
  const auto error = [](const json& changes) {
    return std::string(LlavaNextImageProcessorConfig::Parse(Config(changes), kNext).status().message());
  };
  EXPECT_THAT(error({{"crop_size", 3}}), HasSubstr("crop_size is 3, but size is 4"));
  EXPECT_THAT(error({{"size", {{"height", 4}, {"width", 5}}}}), HasSubstr("size is"));
  EXPECT_THAT(error({{"image_grid_pinpoints", {{4, 6}}}}), HasSubstr("image_grid_pinpoints has [4, 6]"));
  EXPECT_THAT(error({{"image_grid_pinpoints", json::array()}}), HasSubstr("image_grid_pinpoints is []"));
  EXPECT_THAT(error({{"image_grid_pinpoints", {{4, 8, 4}}}}), HasSubstr("image_grid_pinpoints is [[4,8,4]]"));
  EXPECT_THAT(error({{"image_processor_type", "CLIPImageProcessor"}}), HasSubstr("image_processor_type"));
  EXPECT_THAT(error({{"resample", 4}}), HasSubstr("resample is 4"));
}

}  // namespace
}  // namespace varserve::image
