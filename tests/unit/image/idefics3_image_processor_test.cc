// Tiles, thumbnail and the text around them of Idefics3ImageProcessor. Pixels are compared with transformers'
// in image_golden_test.cc.
#include "server/image/idefics3_image_processor.h"

#include <string>
#include <tuple>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace varserve::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// As characters: i is the placeholder, F the token around images, G the global tile's, and R rc the tiles'.
absl::StatusOr<std::vector<int32_t>> Encode(absl::string_view text) {
  const std::string short_text = absl::StrReplaceAll(text, {{"<image>", "i"},
                                                            {"<fake_token_around_image>", "F"},
                                                            {"<global-img>", "G"},
                                                            {"<row_", "R"},
                                                            {"_col_", ""},
                                                            {">", ""}});
  return std::vector<int32_t>(short_text.begin(), short_text.end());
}

std::string Text(const ImageLayout& layout) { return {layout.token_ids.begin(), layout.token_ids.end()}; }

// Tiles of 4 x 4 pixels and 1 visual token.
absl::StatusOr<std::unique_ptr<const Idefics3ImageProcessor>> Create(int longest_edge, int max_image_tokens,
                                                                     TextEncoder encode = Encode,
                                                                     int vocabulary = 128) {
  const auto config = Idefics3ImageProcessorConfig::Parse({{"size", {{"longest_edge", longest_edge}}},
                                                           {"max_image_size", {{"longest_edge", 4}}},
                                                           {"do_rescale", false},
                                                           {"do_normalize", false}});
  EXPECT_TRUE(config.ok()) << config.status();
  return Idefics3ImageProcessor::Create(*config, {.image_token = 'i', .side = 1, .vocabulary = vocabulary},
                                        max_image_tokens, encode);
}

// Every pixel has its own value.
RgbImage Numbered(int width, int height) {
  RgbImage picture{.width = width, .height = height};
  for (int i = 0; i < width * height * 3; ++i) picture.rgb.push_back(static_cast<uint8_t>(i));
  return picture;
}

TEST(Idefics3ImageProcessorTest, TilesAreBelowEachOtherAndTheThumbnailIsLast) {
  const RgbImage picture = Numbered(8, 4);
  const auto image = (*Create(8, 0))->Process(picture);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(std::tuple(image->height, image->width), std::tuple(12, 4));
  const ImageLayout& layout = *image->layout;
  EXPECT_EQ(std::tuple(layout.rows, layout.cols), std::tuple(1, 2));
  EXPECT_EQ(std::tuple(layout.thumbnail_rows, layout.thumbnail_cols), std::tuple(1, 1));
  EXPECT_EQ(Text(layout), "FR11iFR12i\n\nFGiF");
  EXPECT_EQ(layout.num_visual_tokens(), 3);
  EXPECT_THAT(layout.cells, ElementsAre(0, 1, 2));
  for (int y = 0; y < 4; ++y) {  // nothing was resized
    for (int x = 0; x < 8; ++x) {
      const int in_tiles = ((x / 4 * 4 + y) * 4 + x % 4) * 3;
      EXPECT_EQ(image->rgb[in_tiles], picture.rgb[(y * 8 + x) * 3]) << x << " " << y;
    }
  }
}

TEST(Idefics3ImageProcessorTest, RunsAreTheVisualTokensOfEachTile) {
  const auto image = (*Create(8, 0))->Process(Numbered(3, 7));  // 3.4 pixels across become 4
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(Text(*image->layout), "FR11i\nFR21i\n\nFGiF");
  ASSERT_EQ(image->layout->runs.size(), 3U);
  for (int i = 0; i < 3; ++i) {
    const VisualRun& run = image->layout->runs[i];
    EXPECT_EQ(std::tuple(run.index, run.end - run.begin), std::tuple(i, 1));
    EXPECT_EQ(image->layout->token_ids[run.begin], 'i');
  }
}

TEST(Idefics3ImageProcessorTest, OneTileHasNoThumbnail) {
  const auto image = (*Create(4, 0))->Process(Numbered(4, 4));
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->rgb, Numbered(4, 4).rgb);
  EXPECT_EQ(Text(*image->layout), "FGiF");
  EXPECT_EQ(image->layout->thumbnail_rows, 0);
}

TEST(Idefics3ImageProcessorTest, TheThinnestPictureHasATile) {
  const auto config = Idefics3ImageProcessorConfig::Parse(
      {{"size", {{"longest_edge", 49}}}, {"max_image_size", {{"longest_edge", 7}}}});
  const auto processor = Idefics3ImageProcessor::Create(
      *config, {.image_token = 'i', .side = 1, .vocabulary = 128}, /*max_image_tokens=*/0, Encode);
  ASSERT_TRUE(processor.ok()) << processor.status();
  const auto image =
      (*processor)->Process(Numbered(1, 57));  // 49 / 57 of a pixel across, and 49 * (1 / 49) < 1
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->height, 8 * 7);
}

TEST(Idefics3ImageProcessorTest, SmallestAndLargest) {
  const auto processor = *Create(16, 0);
  EXPECT_EQ(processor->smallest().tiles, 5);
  EXPECT_EQ(processor->largest().tiles, 17);
  EXPECT_EQ(std::tuple(processor->largest().height, processor->largest().width), std::tuple(4, 4));
}

TEST(Idefics3ImageProcessorTest, FewerTokensAreFewerTiles) {
  EXPECT_EQ((*Create(16, 17))->largest().tiles, 17);
  EXPECT_EQ((*Create(16, 16))->largest().tiles, 10);
  EXPECT_EQ((*Create(14, 9))->largest().tiles, 5);
  EXPECT_EQ((*Create(16, 4))->largest().tiles, 1);
  EXPECT_EQ((*Create(16, 4))->smallest().tiles, 1);
  const absl::Status status = Create(16, -1).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), StartsWith("--max_image_tokens: is -1"));
}

TEST(Idefics3ImageProcessorTest, MemoryCoversEveryStep) {
  const auto plan = (*Create(16, 0))->MakePlan(1000, 900, /*orientation=*/6);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->image_bytes, 17 * 48);
  EXPECT_GE(plan->bytes, ResizeBytes(plan->resize));
  EXPECT_GE(plan->bytes, plan->image_bytes + 3 * 16 * 16);
}

TEST(Idefics3ImageProcessorTest, RefusesPicturesThatAreTooLong) {
  const absl::Status status = (*Create(16, 0))->MakePlan(200'000, 3, /*orientation=*/1).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), StartsWith("image: 200000 x 3 pixels"));
}

TEST(Idefics3ImageProcessorTest, TokenizersWithoutItsTokensAreRefused) {
  const auto error = [](TextEncoder encode, int vocabulary) {
    return std::string(Create(8, 0, encode, vocabulary).status().message());
  };
  EXPECT_THAT(error(
                  [](absl::string_view) {
                    return std::vector<int32_t>{1, 2};
                  },
                  128),
              HasSubstr("has no token <fake_token_around_image>"));
  EXPECT_THAT(
      error([](absl::string_view) { return std::vector<int32_t>{1}; }, 128),
      HasSubstr("<image>, which the processor writes for an image, is not config.json's image token"));
  EXPECT_THAT(error(Encode, 'R'), HasSubstr("has token 105, but the model has only 82 tokens"));
}

TEST(Idefics3ImageProcessorTest, ErrorsNameTheField) {
  const auto error = [](const nlohmann::json& config) {
    return std::string(Idefics3ImageProcessorConfig::Parse(config).status().message());
  };
  EXPECT_EQ(error(nlohmann::json::object()), "");
  EXPECT_THAT(error({{"size", {{"height", 8}, {"width", 8}}}}), HasSubstr("size is"));
  EXPECT_THAT(error({{"size", {{"longest_edge", 4097}}}}), HasSubstr("size.longest_edge is 4097"));
  EXPECT_THAT(error({{"max_image_size", 8}}), HasSubstr("max_image_size is 8"));
  EXPECT_THAT(error({{"max_image_size", {{"longest_edge", 8}}}}), HasSubstr("more than 256 tiles"));
  EXPECT_EQ(error({{"max_image_size", {{"longest_edge", 8}}}, {"do_image_splitting", false}}), "");
  EXPECT_THAT(error({{"do_resize", false}}), HasSubstr("do_resize"));
  EXPECT_THAT(error({{"resample", 4}}), HasSubstr("resample is 4"));
  EXPECT_THAT(error({{"image_processor_type", "CLIPImageProcessor"}}), HasSubstr("image_processor_type"));
}

}  // namespace
}  // namespace varserve::image
