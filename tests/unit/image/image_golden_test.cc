// Pictures of every odd kind against what transformers' image processors make of them (tests/golden).

#include <cstdio>
#include <cstdlib>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/base/status_macros.h"
#include "server/image/got_ocr2_image_processor.h"
#include "server/image/idefics3_image_processor.h"
#include "server/image/image_decoder.h"
#include "server/image/llava_next_image_processor.h"
#include "server/image/qwen2_vl_image_processor.h"
#include "tests/testing/clip_image_processor.h"
#include "tests/testing/files.h"

namespace varserve::image {
namespace {

using Json = nlohmann::json;

const Json& Goldens() {
  static const Json goldens = ReadJson(RepositoryPath("tests/golden/images/cases.json"));
  return goldens;
}

std::unique_ptr<const ImageProcessor> MakeLlavaNext(const Json& config, int side) {
  const auto parsed = LlavaNextImageProcessorConfig::Parse(
      config, config["image_processor_type"].get_ref<const std::string&>().c_str());
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  auto processor =
      LlavaNextImageProcessor::Create(*parsed, {.image_token = 9, .side = side}, /*max_image_tokens=*/0);
  EXPECT_TRUE(processor.ok()) << processor.status();
  return *std::move(processor);
}

// Each character is a token, but for the placeholder and the token around images.
absl::StatusOr<std::vector<int32_t>> Characters(absl::string_view text) {
  std::vector<int32_t> ids;
  while (!text.empty()) {
    if (absl::ConsumePrefix(&text, "<image>")) {
      ids.push_back(9);
    } else if (absl::ConsumePrefix(&text, "<fake_token_around_image>")) {
      ids.push_back(8);
    } else {
      ids.push_back(static_cast<unsigned char>(text.front()));
      text.remove_prefix(1);
    }
  }
  return ids;
}

std::unique_ptr<const ImageProcessor> MakeIdefics3(const Json& config) {
  const auto parsed = Idefics3ImageProcessorConfig::Parse(config);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  auto processor = Idefics3ImageProcessor::Create(*parsed, {.image_token = 9, .side = 2, .vocabulary = 256},
                                                  /*max_image_tokens=*/0, Characters);
  EXPECT_TRUE(processor.ok()) << processor.status();
  return *std::move(processor);
}

std::unique_ptr<const ImageProcessor> MakeProcessor(const Json& config) {
  if (config.contains("max_image_size")) return MakeIdefics3(config);

  if (config["image_processor_type"] == "GotOcr2ImageProcessor") {
    const auto parsed = GotOcr2ImageProcessorConfig::Parse(config);
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    return std::make_unique<const GotOcr2ImageProcessor>(
        *parsed, GotOcr2ImageProcessor::TileTokens{.image_token = 9, .rows = 2, .cols = 2});
  }
  if (config.contains("image_grid_pinpoints")) return MakeLlavaNext(config, /*side=*/24);
  if (config["image_processor_type"] != "Qwen2VLImageProcessor") {
    return std::make_unique<const ClipImageProcessor>(varserve::testing::MakeClipProcessor(config));
  }
  const auto parsed = Qwen2VlImageProcessorConfig::Parse(config);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return std::make_unique<const Qwen2VlImageProcessor>(*parsed, /*image_token=*/9, /*max_tokens=*/0);
}

absl::StatusOr<ProcessedImage> Process(const std::string& file, const Json& config, int num_images = 1) {
  const std::unique_ptr<const ImageProcessor> any = MakeProcessor(config);
  const ImageProcessor& processor = any->For(num_images);
  const std::string bytes = ReadFile(RepositoryPath("tests/golden/images/files") / file);
  ASSIGN_OR_RETURN(const ImageInfo info, ReadImageInfo(bytes, {}));
  ASSIGN_OR_RETURN(const auto plan, processor.MakePlan(info.width, info.height, info.orientation));
  return processor.Process(plan, [&](RowSink& rows) { return DecodeImage(bytes, rows, NeverStop); });
}

// The 8 bit pixels of a case. [height, width, 3]
std::string Process8Bit(const Json& golden) {
  const absl::StatusOr<ProcessedImage> image =
      Process(golden["file"], Goldens()["configs"][golden["config"].get<std::string>()]);
  EXPECT_TRUE(image.ok()) << image.status();
  if (!image.ok()) return "";
  EXPECT_EQ(image->height, golden["height"]);
  EXPECT_EQ(image->width, golden["width"]);
  return {image->rgb.begin(), image->rgb.end()};
}

class ImageGoldenTest : public ::testing::TestWithParam<Json> {};

TEST_P(ImageGoldenTest, EqualsTransformers) {
  const std::string pixels = Process8Bit(GetParam());
  static const std::string all_expected = ReadFile(RepositoryPath("tests/golden/images/expected.bin"));
  const std::string expected = all_expected.substr(GetParam()["offset"], pixels.size());
  ASSERT_EQ(pixels.size(), expected.size());
  int max_difference = 0;
  for (size_t i = 0; i < pixels.size(); ++i) {
    const int difference = static_cast<uint8_t>(pixels[i]) - static_cast<uint8_t>(expected[i]);
    max_difference = std::max(max_difference, std::abs(difference));
  }
  // Resizing is exact; decoders of lossy formats may round differently from one version of a library to the
  // next.
  const std::string file = GetParam()["file"];
  const bool is_lossy = absl::EndsWith(file, ".jpg") || absl::EndsWith(file, ".webp");
  EXPECT_LE(max_difference, is_lossy ? 1 : 0);
}

std::string CaseName(const ::testing::TestParamInfo<Json>& info) {
  std::string name = info.param["file"].get<std::string>() + "_" + info.param["config"].get<std::string>();
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, ImageGoldenTest,
                         ::testing::ValuesIn(Goldens()["cases"].begin(), Goldens()["cases"].end()), CaseName);

TEST(ImageGoldenTest, FloatPixelsAreBitForBitTransformers) {
  for (const Json& golden : Goldens()["hashes"]) {
    const absl::StatusOr<ProcessedImage> image =
        Process(golden["file"], golden["config"], golden.value("num_images", 1));
    ASSERT_TRUE(image.ok()) << image.status();
    if (golden.contains("height")) {
      EXPECT_EQ(image->height, golden["height"]) << golden["file"];
      EXPECT_EQ(image->width, golden["width"]) << golden["file"];
    }
    const std::vector<float> pixels = image->Pixels();
    const Digest digest =
        Sha256({{reinterpret_cast<const char*>(pixels.data()), pixels.size() * sizeof(float)}});
    EXPECT_EQ(absl::BytesToHexString(BytesOf(digest)), golden["sha256"]) << golden["file"];
  }
}

// Of LLaVA-NeXT as published.
TEST(ImageGoldenTest, TilesAndTokensOfJoinedTilesAreTransformers) {
  const auto processor = MakeLlavaNext({{"image_processor_type", "LlavaNextImageProcessor"},
                                        {"size", {{"shortest_edge", 336}}},
                                        {"crop_size", {{"height", 336}, {"width", 336}}}},
                                       /*side=*/24);
  ASSERT_GE(Goldens()["resolutions"].size(), 50U);
  for (const Json& golden : Goldens()["resolutions"]) {
    const auto text = golden.get<std::string>();
    int width, height, across, down, tokens;
    ASSERT_EQ(std::sscanf(text.c_str(), "%dx%d: %dx%d, %d tokens", &width, &height, &across, &down, &tokens),
              5);
    const auto plan = processor->MakePlan(width, height, /*orientation=*/1);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const auto image = processor->Process(*plan, [](RowSink&) { return absl::OkStatus(); });
    ASSERT_TRUE(image.ok()) << image.status();
    const TileGrid& tiles = image->layout->joined->tiles;
    EXPECT_EQ(std::tuple(tiles.across, tiles.down, image->layout->size()), std::tuple(across, down, tokens))
        << text;
  }
}

// Of SmolVLM as published.
TEST(ImageGoldenTest, TilesOfSplitPicturesAreTransformers) {
  const auto processor =
      MakeIdefics3({{"size", {{"longest_edge", 2048}}}, {"max_image_size", {{"longest_edge", 512}}}});
  ASSERT_GE(Goldens()["splits"].size(), 50U);
  for (const Json& golden : Goldens()["splits"]) {
    const auto text = golden.get<std::string>();
    int width, height, across, down;
    ASSERT_EQ(std::sscanf(text.c_str(), "%dx%d: %dx%d", &width, &height, &across, &down), 4);
    const auto plan = processor->MakePlan(width, height, /*orientation=*/1);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_EQ(plan->image_bytes, int64_t{3} * 512 * 512 * (across * down + 1)) << text;
  }
}

TEST(ImageGoldenTest, ArrangementsOfTilesAreTransformers) {
  ASSERT_GE(Goldens()["arrangements"].size(), 100U);
  for (const Json& golden : Goldens()["arrangements"]) {
    const auto text = golden.get<std::string>();
    int width, height, least, most, tile_width, tile_height, across, down;
    ASSERT_EQ(std::sscanf(text.c_str(), "%dx%d in %d-%d of %dx%d: %dx%d", &width, &height, &least, &most,
                          &tile_width, &tile_height, &across, &down),
              8);
    const TileArrangement tiles = ClosestTiles(width, height, tile_width, tile_height, least, most);
    EXPECT_EQ(std::pair(tiles.across, tiles.down), std::pair(across, down)) << text;
  }
}

}  // namespace
}  // namespace varserve::image
