// Configurations and sizes; that pixels are right is image_golden_test's.
#include "server/image/qwen2_vl_image_processor.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace varserve::image {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int32_t kToken = 9;

Qwen2VlImageProcessor MakeProcessor(const Json& config, int max_tokens = 0) {
  const auto parsed = Qwen2VlImageProcessorConfig::Parse(config);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return {*parsed, kToken, max_tokens};
}

RgbImage Grey(int width, int height) {
  return {width, height, std::vector<uint8_t>(static_cast<size_t>(width) * height * 3, 9)};
}

TEST(Qwen2VlImageProcessorTest, RefusesWhatItDoesNotKnow) {
  const struct {
    Json config;
    const char* message;  // its beginning
  } cases[] = {
      {{{"image_processor_type", "CLIPImageProcessor"}}, "image_processor_type is \"CLIPImageProcessor\""},
      {{{"size", {{"shortest_edge", 3136}}}}, "size.longest_edge is missing"},
      {{{"size", {{"longest_edge", 3136}}}}, "size.shortest_edge is missing"},
      {{{"size", 224}}, "size is 224, not an object"},
      {{{"min_pixels", 0}}, "min_pixels is 0, not in"},
      {{{"max_pixels", 1.5}}, "max_pixels is 1.5, not an integer"},
      {{{"min_pixels", 3136}, {"max_pixels", 1568}}, "size asks for at least 3136 pixels and at most 1568"},
      {{{"patch_size", 512}, {"merge_size", 512}}, "size allows at most 1003520 pixels, less than"},
      {{{"do_resize", false}}, "do_resize is false"},
      {{{"resample", 4}}, "resample is 4"},
      {{{"image_std", {0.5, 0.5, 0.0}}}, "image_std is"},
  };
  for (const auto& wrong : cases) {
    const absl::Status status = Qwen2VlImageProcessorConfig::Parse(wrong.config).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << wrong.config;
    EXPECT_THAT(std::string(status.message()),
                StartsWith(std::string("preprocessor_config.json: ") + wrong.message));
  }
}

TEST(Qwen2VlImageProcessorTest, OlderFieldsReplaceSize) {
  const auto config =
      Qwen2VlImageProcessorConfig::Parse({{"size", {{"shortest_edge", 1}, {"longest_edge", 2}}},
                                          {"min_pixels", 3136},
                                          {"max_pixels", 12845056}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->min_pixels, 3136);
  EXPECT_EQ(config->max_pixels, 12845056);
}

TEST(Qwen2VlImageProcessorTest, ImagesHaveAGridOfTheirShape) {
  const Qwen2VlImageProcessor processor = MakeProcessor(Json::object());
  const struct {
    int width, height, rows, cols;
  } cases[] = {
      {28, 28, 2, 2},    {1, 1, 2, 2},     // as small as it gets
      {70, 42, 2, 2},    {126, 98, 4, 4},  // halves to even
      {1000, 40, 1, 36}, {40, 1000, 36, 1}, {4000, 3000, 30, 41},
  };
  for (const auto& expected : cases) {
    const absl::StatusOr<ProcessedImage> image = processor.Process(Grey(expected.width, expected.height));
    ASSERT_TRUE(image.ok()) << image.status();
    SCOPED_TRACE(expected.width);
    EXPECT_EQ(image->layout->rows, expected.rows);
    EXPECT_EQ(image->layout->cols, expected.cols);
    EXPECT_EQ(image->layout->token_ids, std::vector<int32_t>(expected.rows * expected.cols, kToken));
    EXPECT_EQ(image->height, expected.rows * 28);
    EXPECT_EQ(image->width, expected.cols * 28);
    EXPECT_EQ(image->region.right, 1.0F);
  }
}

TEST(Qwen2VlImageProcessorTest, OrientationTurnsTheGrid) {
  const Qwen2VlImageProcessor processor = MakeProcessor(Json::object());
  const auto plan = processor.MakePlan(280, 140, /*orientation=*/6);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->resize.x.count, 140);
  EXPECT_EQ(plan->resize.y.count, 280);
}

TEST(Qwen2VlImageProcessorTest, RefusesALine) {
  const Qwen2VlImageProcessor processor = MakeProcessor(Json::object());
  EXPECT_TRUE(processor.MakePlan(2000, 10, 1).ok());
  const absl::Status status = processor.MakePlan(2001, 10, 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("image: 2001 x 10 pixels are too long and thin"));
}

// Memory is planned for the largest image, and texts are refused by the smallest one.
TEST(Qwen2VlImageProcessorTest, NoImageIsSmallerOrLargerThanItSays) {
  const Json configs[] = {Json::object(),
                          {{"min_pixels", 784}, {"max_pixels", 20000}},
                          {{"min_pixels", 19000}, {"max_pixels", 20000}},
                          {{"min_pixels", 784}, {"max_pixels", 784}},
                          {{"min_pixels", 784}, {"max_pixels", 200000}}};
  for (const Json& config : configs) {
    for (const int max_tokens : {0, 5, 77}) {
      const Qwen2VlImageProcessor processor = MakeProcessor(config, max_tokens);
      const int fewest = processor.smallest().layout->size();
      const int most = processor.largest().layout->size();
      for (int width = 1; width < 9000; width = width * 5 / 4 + 1) {
        for (int height = 1; height < 9000; height = height * 4 / 3 + 1) {
          const auto plan = processor.MakePlan(width, height, 1);
          if (!plan.ok()) continue;
          const int64_t tokens = plan->image_bytes / 3 / 28 / 28;
          EXPECT_GE(tokens, fewest) << config << max_tokens << ": " << width << " x " << height;
          EXPECT_LE(tokens, most) << config << max_tokens << ": " << width << " x " << height;
        }
      }
    }
  }
}

}  // namespace
}  // namespace varserve::image
