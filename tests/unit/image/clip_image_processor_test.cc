// Configurations and sizes; that pixels are right is image_golden_test's.
#include "server/image/clip_image_processor.h"

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/clip_image_processor.h"
#include "tests/testing/files.h"
#include "tests/testing/temp_dir.h"

namespace varserve::image {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Json ClipConfig(const Json& changes = Json::object()) {
  Json config = {{"image_processor_type", "CLIPImageProcessor"},
                 {"size", {{"shortest_edge", 8}}},
                 {"crop_size", {{"height", 8}, {"width", 8}}}};
  config.update(changes);
  return config;
}

RgbImage Grey(int width, int height, uint8_t value) {
  return {width, height, std::vector<uint8_t>(static_cast<size_t>(width) * height * 3, value)};
}

struct WrongConfig {
  Json changes;
  const char* message;  // its beginning
};

TEST(ClipImageProcessorTest, RefusesWhatItDoesNotKnow) {
  const WrongConfig cases[] = {
      {{{"image_processor_type", "SiglipImageProcessor"}},
       "image_processor_type is \"SiglipImageProcessor\", which is not supported; supported: "
       "CLIPImageProcessor"},
      {{{"size", {{"longest_edge", 8}}}}, "size is {\"longest_edge\":8}, which is not supported"},
      {{{"size", {{"height", 0}, {"width", 8}}}}, "size.height is 0, not in [1, 16384]"},
      {{{"size", {{"shortest_edge", 1 << 20}}}}, "size.shortest_edge is 1048576, not in"},
      {{{"crop_size", {{"shortest_edge", 8}}}}, "crop_size is {\"shortest_edge\":8}, which is not supported"},
      {{{"crop_size", 8.5}}, "crop_size is 8.5, not an integer"},
      {{{"crop_size", {8, 1 << 20}}}, "crop_size is [8,1048576], not in"},
      {{{"crop_size", 18446744073709551615U}}, "crop_size is 18446744073709551615, not in"},
      {{{"resample", 4}},
       "resample is 4, which is not supported; supported: 1 (Lanczos), 2 (bilinear), 3 (bicubic)"},
      {{{"do_resize", "yes"}}, "do_resize is \"yes\", not true or false"},
      {{{"do_pad", true}, {"pad_size", {{"height", 9}, {"width", 9}}}}, "pad_size"},
      {{{"rescale_factor", 0}}, "rescale_factor is 0, not in"},
      {{{"image_mean", {0.5, 0.5}}}, "image_mean is [0.5,0.5], not three numbers"},
      {{{"image_mean", {0.5, 0.5, 1e300}}}, "image_mean is [0.5,0.5,1e+300], not in"},
      {{{"image_std", {0.5, 0.5, 0.0}}}, "image_std is [0.5,0.5,0.0], not in"},
      {{{"size", nullptr}}, "size is null; give it a value or remove it"},
      {{{"do_center_crop", false}},
       "do_center_crop is false, and size lets pictures come out in different sizes"},
  };
  for (const WrongConfig& wrong : cases) {
    const absl::Status status = ClipImageProcessorConfig::Parse(ClipConfig(wrong.changes)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << wrong.changes;
    EXPECT_THAT(std::string(status.message()),
                StartsWith(std::string("preprocessor_config.json: ") + wrong.message));
  }
}

TEST(ClipImageProcessorTest, KnowsTheSizeOfItsResults) {
  const struct {
    Json changes;
    int height;
    int width;
  } cases[] = {
      {Json::object(), 8, 8},
      {{{"crop_size", 6}}, 6, 6},
      {{{"crop_size", {{"height", 4}, {"width", 10}}}}, 4, 10},
      {{{"crop_size", {4, 10}}}, 4, 10},
      {{{"size", 6}, {"default_to_square", true}, {"do_center_crop", false}}, 6, 6},
      {{{"size", {{"height", 5}, {"width", 7}}}, {"do_center_crop", false}}, 5, 7},
      {{{"image_processor_type", "LlavaImageProcessorFast"}, {"do_pad", true}, {"do_center_crop", false}},
       8,
       8},
      {{{"image_processor_type", "BitImageProcessor"}, {"do_resize", nullptr}, {"do_pad", nullptr}}, 8, 8},
  };
  for (const auto& expected : cases) {
    const ClipImageProcessor processor = varserve::testing::MakeClipProcessor(ClipConfig(expected.changes));
    EXPECT_EQ(processor.largest().height, expected.height);
    EXPECT_EQ(processor.largest().width, expected.width);
    for (const auto& [width, height] : {std::pair(1, 1), {3, 50}, {50, 3}, {8, 8}, {1, 2'000}}) {
      const absl::StatusOr<ProcessedImage> image = processor.Process(Grey(width, height, 9));
      ASSERT_TRUE(image.ok()) << image.status();
      EXPECT_EQ(image->height, expected.height);
      EXPECT_EQ(image->width, expected.width);
      EXPECT_EQ(image->rgb.size(), size_t{3} * expected.height * expected.width);
      EXPECT_EQ(image->rgb.size(), static_cast<size_t>(processor.MakePlan(width, height, 1)->image_bytes));
      EXPECT_EQ(image->Pixels().size(), image->rgb.size());
    }
  }
}

TEST(ClipImageProcessorTest, DefaultsAreThoseOfTransformers) {
  const ClipImageProcessor processor = varserve::testing::MakeClipProcessor(Json::object());
  EXPECT_EQ(processor.largest().height, 224);
  EXPECT_EQ(processor.largest().width, 224);
}

TEST(ClipImageProcessorTest, RefusesALine) {
  const ClipImageProcessor cropping = varserve::testing::MakeClipProcessor(ClipConfig({{"size", 224}}));
  const ClipImageProcessor padding = varserve::testing::MakeClipProcessor(
      ClipConfig({{"image_processor_type", "LlavaImageProcessor"}, {"do_pad", true}}));
  EXPECT_TRUE(cropping.Process(Grey(30'000, 1, 0)).ok());
  EXPECT_TRUE(padding.Process(Grey(1, 130'000, 0)).ok());
  for (const auto& status :
       {cropping.Process(Grey(50'000, 1, 0)).status(), padding.Process(Grey(140'000, 1, 0)).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr("pixels are too long and thin"));
  }
}

TEST(ClipImageProcessorTest, TellsWhichPartOfThePictureItShows) {
  const auto region = [](const Json& changes, int width, int height) {
    const ClipImageProcessor processor = varserve::testing::MakeClipProcessor(ClipConfig(changes));
    const ImageRegion seen = processor.Process(Grey(width, height, 9))->region;
    return std::vector<float>{seen.left, seen.top, seen.right, seen.bottom};
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(region(Json::object(), 8, 8), ElementsAre(0, 0, 1, 1));
  // 16 x 8 after resizing, of which the middle is kept.
  EXPECT_THAT(region(Json::object(), 32, 16), ElementsAre(0.25F, 0, 0.75F, 1));
  EXPECT_THAT(region(Json::object(), 16, 32), ElementsAre(0, 0.25F, 1, 0.75F));
  // Padded to 32 x 32: half a picture's height above and below it.
  EXPECT_THAT(region({{"image_processor_type", "LlavaImageProcessor"}, {"do_pad", true}}, 32, 16),
              ElementsAre(0, -0.5F, 1, 1.5F));
  // The crop is larger than the picture.
  EXPECT_THAT(region({{"do_resize", false}}, 4, 8), ElementsAre(-0.5F, 0, 1.5F, 1));
}

// 2 x 2 tokens of 5 pixels, of a processed picture of 8 pixels.
TEST(ClipImageProcessorTest, TheGridMayEndBeyondThePicture) {
  const auto config = ClipImageProcessorConfig::Parse(ClipConfig());
  ASSERT_TRUE(config.ok()) << config.status();
  const ClipImageProcessor processor(*config, varserve::testing::MakeLayout(4, 2, 2), /*token_size=*/5);
  const ImageRegion seen = processor.Process(Grey(16, 16, 9))->region;
  EXPECT_THAT(std::vector<float>({seen.left, seen.top, seen.right, seen.bottom}),
              ::testing::ElementsAre(0, 0, 1.25F, 1.25F));
}

TEST(ClipImageProcessorTest, DigestIsOfContentAndSize) {
  const ClipImageProcessor processor = varserve::testing::MakeClipProcessor(ClipConfig());
  const ClipImageProcessor wide = varserve::testing::MakeClipProcessor(
      ClipConfig({{"crop_size", {{"height", 4}, {"width", 16}}}, {"size", 16}}));
  const Digest digest = processor.Process(Grey(20, 10, 7))->digest;
  EXPECT_EQ(processor.Process(Grey(9, 9, 7))->digest, digest);  // the same pixels once processed
  EXPECT_NE(processor.Process(Grey(20, 10, 8))->digest, digest);
  EXPECT_NE(wide.Process(Grey(20, 10, 7))->digest, digest);  // the same pixels in another shape
  const ClipImageProcessor brighter = varserve::testing::MakeClipProcessor(ClipConfig({{"image_mean", 0.1}}));
  EXPECT_NE(brighter.Process(Grey(20, 10, 7))->digest, digest);  // the same pixels, normalized otherwise
}

TEST(ClipImageProcessorTest, LoadsFromEitherFile) {
  const varserve::testing::TempDir temp;
  const std::filesystem::path dir = temp.path();
  EXPECT_THAT(std::string(ClipImageProcessorConfig::Load(dir).status().message()),
              HasSubstr("neither preprocessor_config.json nor an image_processor in processor_config.json"));
  std::ofstream(dir / "preprocessor_config.json") << ClipConfig({{"crop_size", 5}});
  EXPECT_EQ(ClipImageProcessorConfig::Load(dir)->height(), 5);
  std::ofstream(dir / "processor_config.json") << Json{{"processor_class", "LlavaProcessor"}};
  EXPECT_EQ(ClipImageProcessorConfig::Load(dir)->height(), 5);
  std::ofstream(dir / "processor_config.json") << Json{{"image_processor", nullptr}};
  EXPECT_EQ(ClipImageProcessorConfig::Load(dir)->height(), 5);
  std::ofstream(dir / "processor_config.json") << Json{{"image_processor", ClipConfig({{"crop_size", 6}})}};
  EXPECT_EQ(ClipImageProcessorConfig::Load(dir)->height(), 6);
  std::ofstream(dir / "processor_config.json") << Json{{"image_processor", ClipConfig({{"resample", 5}})}};
  EXPECT_THAT(std::string(ClipImageProcessorConfig::Load(dir).status().message()),
              StartsWith("processor_config.json: image_processor.resample"));
  std::ofstream(dir / "processor_config.json") << "{";
  EXPECT_THAT(std::string(ClipImageProcessorConfig::Load(dir).status().message()),
              StartsWith("processor_config.json: not a JSON object: parse error at line 1, column 2"));
}

}  // namespace
}  // namespace varserve::image
