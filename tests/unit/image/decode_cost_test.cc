// That a picture takes no more memory than its header was said to call for, whatever the file. The heap is
// counted, not estimated.
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/image/image_decoder.h"
#include "tests/testing/clip_image_processor.h"
#include "tests/testing/heap_peak.h"
#include "tests/testing/picture_files.h"

namespace varserve::image {
namespace {

using ::testing::HasSubstr;
using varserve::testing::HeapPeak;
using varserve::testing::PictureKind;

constexpr ImageLimits kLimits{.max_bytes = 1 << 30, .max_pixels = 1 << 28};

class NoSink final : public RowSink {
 public:
  void AddRow(const uint8_t* /*rgb*/) override {}
};

class DecodeCostTest : public ::testing::TestWithParam<PictureKind> {};

TEST_P(DecodeCostTest, CoversThePeakOfDecoding) {
  for (const auto& [width, height] :
       {std::pair(1, 1), {3, 900}, {64, 48}, {611, 407}, {1201, 803}, {16'001, 9}, {9, 16'001}}) {
    SCOPED_TRACE(::testing::Message() << width << " x " << height);
    const std::string file = GetParam().make(width, height, 1);
    const HeapPeak heap;
    const absl::StatusOr<ImageInfo> info = ReadImageInfo(file, kLimits);
    EXPECT_LE(heap.bytes(), 64 << 10) << "of reading the header";
    ASSERT_TRUE(info.ok()) << info.status();
    NoSink sink;
    const absl::Status decoded = DecodeImage(file, sink, NeverStop);
    ASSERT_TRUE(decoded.ok()) << decoded;
    EXPECT_LE(heap.bytes(), info->decode_bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(All, DecodeCostTest, ::testing::ValuesIn(varserve::testing::PictureKinds()),
                         [](const auto& info) { return info.param.name; });

TEST(ProcessCostTest, CoversThePeakOfAllThatIsDone) {
  const nlohmann::json configs[] = {
      {{"image_processor_type", "CLIPImageProcessor"}, {"size", 336}, {"crop_size", 336}},
      {{"image_processor_type", "LlavaImageProcessor"}, {"do_pad", true}, {"size", 336}, {"crop_size", 336}},
      {{"image_processor_type", "BitImageProcessor"}, {"do_resize", false}, {"crop_size", 400}},
  };
  const std::string names[] = {"jpeg_420", "jpeg_progressive_444", "png_rgba", "webp_lossy"};
  for (const PictureKind& kind : varserve::testing::PictureKinds()) {
    if (std::find(std::begin(names), std::end(names), kind.name) == std::end(names)) continue;
    for (const nlohmann::json& config : configs) {
      const ClipImageProcessor processor = varserve::testing::MakeClipProcessor(config);
      for (const int orientation : {1, 3, 6}) {
        for (const auto& [width, height] :
             {std::pair(1, 1), {611, 407}, {1201, 803}, {16'001, 50}, {50, 16'001}}) {
          SCOPED_TRACE(::testing::Message() << kind.name << " " << config << " " << width << " x " << height
                                            << ", orientation " << orientation);
          const std::string file = kind.make(width, height, orientation);
          const HeapPeak heap;
          const absl::StatusOr<ImageInfo> info = ReadImageInfo(file, kLimits);
          ASSERT_TRUE(info.ok()) << info.status();
          ASSERT_EQ(info->orientation, orientation);
          const auto plan = processor.MakePlan(width, height, orientation);
          ASSERT_TRUE(plan.ok()) << plan.status();
          const auto image =
              processor.Process(*plan, [&](RowSink& rows) { return DecodeImage(file, rows, NeverStop); });
          ASSERT_TRUE(image.ok()) << image.status();
          EXPECT_LE(heap.bytes(), info->decode_bytes + plan->bytes);
        }
      }
    }
  }
}

TEST(CostTest, APictureThatIsNotHeldAsAWholeCostsAFewRows) {
  for (const std::string name : {"jpeg_420", "png_rgba"}) {
    for (const PictureKind& kind : varserve::testing::PictureKinds()) {
      if (kind.name != name) continue;
      const auto info = ReadImageInfo(kind.make(1201, 803, 1), kLimits);
      ASSERT_TRUE(info.ok()) << info.status();
      EXPECT_LT(info->decode_bytes, 300 << 10) << name;  // 2.9 MB of pixels
    }
  }
}

// What it takes is in none of its headers.
TEST(CostTest, CoversAWebpMadeOfTables) {
  const std::string file = varserve::testing::WebpOfTables();
  const absl::StatusOr<ImageInfo> info = ReadImageInfo(file, kLimits);
  ASSERT_TRUE(info.ok()) << info.status();
  NoSink sink;
  const HeapPeak heap;
  const absl::Status refused = DecodeImage(file, sink, NeverStop);
  EXPECT_LE(heap.bytes(), info->decode_bytes);
  EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("more memory"));
}

}  // namespace
}  // namespace varserve::image
