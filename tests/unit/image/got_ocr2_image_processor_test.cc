// Tiles and thumbnail of GotOcr2ImageProcessor. Pixels are compared with transformers' in
// image_golden_test.cc.
#include "server/image/got_ocr2_image_processor.h"

#include <tuple>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace varserve::image {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kImageToken = 9;

GotOcr2ImageProcessor MakeProcessor(int min_tiles, int max_tiles) {
  const auto config = GotOcr2ImageProcessorConfig::Parse({{"size", {{"height", 4}, {"width", 4}}},
                                                          {"min_patches", min_tiles},
                                                          {"max_patches", max_tiles},
                                                          {"do_rescale", false},
                                                          {"do_normalize", false}});
  EXPECT_TRUE(config.ok()) << config.status();
  return {*config, {.image_token = kImageToken, .rows = 1, .cols = 2}};
}

// Every pixel has its own value.
RgbImage Numbered(int width, int height) {
  RgbImage picture{.width = width, .height = height};
  for (int i = 0; i < width * height * 3; ++i) picture.rgb.push_back(static_cast<uint8_t>(i));
  return picture;
}

TEST(GotOcr2ImageProcessorTest, TilesAreBelowEachOtherAndTheThumbnailIsLast) {
  const RgbImage picture = Numbered(8, 4);
  const auto image = MakeProcessor(1, 2).Process(picture);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(std::tuple(image->height, image->width), std::tuple(12, 4));
  EXPECT_EQ(image->layout->token_ids, std::vector<int32_t>(6, kImageToken));
  EXPECT_EQ(std::tuple(image->layout->rows, image->layout->cols), std::tuple(1, 4));
  EXPECT_EQ(std::tuple(image->layout->thumbnail_rows, image->layout->thumbnail_cols), std::tuple(1, 2));
  for (int y = 0; y < 4; ++y) {  // nothing was resized
    for (int x = 0; x < 8; ++x) {
      const int in_tiles = ((x / 4 * 4 + y) * 4 + x % 4) * 3;
      EXPECT_EQ(image->rgb[in_tiles], picture.rgb[(y * 8 + x) * 3]) << x << " " << y;
    }
  }
  EXPECT_EQ(image->rgb.size(), 3U * 12 * 4);
}

TEST(GotOcr2ImageProcessorTest, OneTileHasNoThumbnail) {
  const RgbImage picture = Numbered(4, 4);
  const auto image = MakeProcessor(1, 12).Process(picture);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->rgb, picture.rgb);
  EXPECT_EQ(image->layout->size(), 2);
  EXPECT_EQ(image->layout->thumbnail_rows, 0);
}

TEST(GotOcr2ImageProcessorTest, TurnsPicturesUprightBeforeItCountsTheirTiles) {
  const auto plan = MakeProcessor(1, 12).MakePlan(400, 100, /*orientation=*/6);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(std::tuple(plan->resize.x.count, plan->resize.y.count), std::tuple(4, 16));
  EXPECT_EQ(plan->image_bytes, 3 * 5 * 16);
}

TEST(GotOcr2ImageProcessorTest, SmallestAndLargest) {
  const GotOcr2ImageProcessor processor = MakeProcessor(1, 12);
  EXPECT_EQ(processor.smallest().tiles, 1);
  EXPECT_EQ(processor.smallest().layout->size(), 2);
  const ImageShape largest = processor.largest();
  EXPECT_EQ(std::tuple(largest.tiles, largest.height, largest.width), std::tuple(13, 4, 4));
  EXPECT_EQ(std::tuple(largest.layout->rows, largest.layout->cols), std::tuple(3, 8));
  EXPECT_EQ(largest.layout->size(), 26);
  EXPECT_EQ(MakeProcessor(1, 7).largest().tiles, 8);
  EXPECT_EQ(MakeProcessor(4, 12).smallest().tiles, 5);
}

TEST(GotOcr2ImageProcessorTest, RefusesPicturesThatAreTooLong) {
  const absl::Status status = MakeProcessor(1, 12).MakePlan(200'000, 3, /*orientation=*/1).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), StartsWith("image: 200000 x 3 pixels"));
}

TEST(GotOcr2ImageProcessorTest, ErrorsNameTheField) {
  const auto error = [](const nlohmann::json& config) {
    return std::string(GotOcr2ImageProcessorConfig::Parse(config).status().message());
  };
  EXPECT_THAT(error({{"min_patches", 3}, {"max_patches", 2}}), HasSubstr("min_patches is 3"));
  EXPECT_THAT(error({{"max_patches", 0}}), HasSubstr("max_patches"));
  EXPECT_THAT(error({{"size", {{"shortest_edge", 448}}}}), HasSubstr("size is"));
  EXPECT_THAT(error({{"do_resize", false}}), HasSubstr("do_resize"));
  EXPECT_THAT(error({{"resample", 4}}), HasSubstr("resample is 4"));
}

}  // namespace
}  // namespace varserve::image
