// Every kind of file, turned every way, in every shape, by rows as they come: the same bits as by whole
// pictures, one step after the other.
#include "server/image/image_resize.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/image/image_decoder.h"
#include "tests/testing/clip_image_processor.h"
#include "tests/testing/picture_files.h"
#include "tests/testing/whole_picture.h"

namespace varserve::image {
namespace {

using Json = nlohmann::json;
using varserve::testing::PictureKind;

constexpr int kOrientations[] = {1, 2, 3, 4, 5, 6, 7, 8};

const std::vector<ClipImageProcessor>& Processors() {
  static const std::vector<ClipImageProcessor> processors = [] {
    std::vector<ClipImageProcessor> result;
    for (const Json& config : {
             Json{{"image_processor_type", "CLIPImageProcessor"}, {"size", 24}, {"crop_size", 24}},
             Json{{"image_processor_type", "LlavaImageProcessor"},
                  {"do_pad", true},
                  {"size", 20},
                  {"crop_size", 18}},
             Json{{"image_processor_type", "BitImageProcessor"},
                  {"size", {{"height", 30}, {"width", 17}}},
                  {"do_center_crop", false},
                  {"resample", 2}},
             Json{{"image_processor_type", "CLIPImageProcessor"}, {"do_resize", false}, {"crop_size", 31}},
         }) {
      result.push_back(varserve::testing::MakeClipProcessor(config));
    }
    return result;
  }();
  return processors;
}

class StreamingTest : public ::testing::TestWithParam<PictureKind> {};

TEST_P(StreamingTest, EqualsWholePictures) {
  for (const auto& [width, height] :
       {std::pair(1, 1), {3, 2}, {24, 24}, {97, 61}, {40, 200}, {1, 300}, {150, 1}}) {
    for (const int orientation : kOrientations) {
      SCOPED_TRACE(::testing::Message() << width << " x " << height << ", orientation " << orientation);
      const std::string file = GetParam().make(width, height, orientation);
      const absl::StatusOr<ImageInfo> info = ReadImageInfo(file, {});
      ASSERT_TRUE(info.ok()) << info.status();
      ASSERT_EQ(std::tuple(info->width, info->height, info->orientation),
                std::tuple(width, height, orientation));
      const RgbImage upright =
          varserve::testing::TurnUpright(varserve::testing::DecodeWhole(file), orientation);
      for (const ClipImageProcessor& processor : Processors()) {
        const absl::StatusOr<ClipImageProcessor::Plan> plan = processor.MakePlan(width, height, orientation);
        ASSERT_TRUE(plan.ok()) << plan.status();
        const std::unique_ptr<ImageResizer> resizer = ImageResizer::Create(plan->resize);
        const absl::Status decoded = DecodeImage(file, *resizer, NeverStop);
        ASSERT_TRUE(decoded.ok()) << decoded;
        const RgbImage resized = resizer->Finish();
        const RgbImage expected = varserve::testing::ResizeWhole(upright, plan->resize);
        ASSERT_EQ(std::pair(resized.width, resized.height), std::pair(expected.width, expected.height));
        EXPECT_EQ(resized.rgb, expected.rgb);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, StreamingTest, ::testing::ValuesIn(varserve::testing::PictureKinds()),
                         [](const auto& info) { return info.param.name; });

// Padding that is nearly all of the canvas, and no padding at all, in both directions.
TEST(ImageResizeTest, PadsAndCutsAnywhere) {
  const RgbImage stored = varserve::testing::DecodeWhole(varserve::testing::PngKinds()[0].make(37, 23, 1));
  for (const int orientation : kOrientations) {
    const RgbImage upright = varserve::testing::TurnUpright(stored, orientation);
    for (const int canvas : {37, 64, 150}) {
      for (const int offset : {0, (canvas - 37) / 2, canvas - 37}) {
        for (const int64_t resized : {5, 64, 400}) {
          for (const int64_t first : {int64_t{0}, resized / 3, resized - 5}) {
            const auto axis = [&](int size) {
              return ResizeAxis{.size = size,
                                .canvas = canvas,
                                .offset = offset,
                                .resized = resized,
                                .first = first,
                                .count = static_cast<int>(std::min<int64_t>(resized - first, 40))};
            };
            const ResizePlan plan{.orientation = orientation,
                                  .x = axis(upright.width),
                                  .y = axis(upright.height),
                                  .filter = ResizeFilter::kBicubic,
                                  .padding = {11, 122, 250}};
            const std::unique_ptr<ImageResizer> resizer = ImageResizer::Create(plan);
            for (int y = 0; y < stored.height; ++y)
              resizer->AddRow(&stored.rgb[static_cast<size_t>(y) * stored.width * 3]);
            ASSERT_EQ(resizer->Finish().rgb, varserve::testing::ResizeWhole(upright, plan).rgb)
                << "orientation " << orientation << ", canvas " << canvas << ", offset " << offset
                << ", resized " << resized << ", first " << first;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace varserve::image
