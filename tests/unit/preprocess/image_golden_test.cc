// Pictures of every odd kind against what transformers' image processors make of them (tests/golden).
#include <openssl/sha.h>

#include <cstdlib>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/preprocess/image_decoder.h"
#include "server/preprocess/image_processor.h"
#include "tests/testing/files.h"

namespace varserve::preprocess {
namespace {

using Json = nlohmann::json;

const Json& Goldens() {
  static const Json goldens = ReadJson(RepositoryPath("tests/golden/images/cases.json"));
  return goldens;
}

RgbImage Decode(const std::string& file) {
  absl::StatusOr<RgbImage> image =
      DecodeImage(ReadFile(RepositoryPath("tests/golden/images/files") / file), ImageLimits());
  EXPECT_TRUE(image.ok()) << file << ": " << image.status();
  return image.value_or(RgbImage());
}

// The 8 bit pixels of a case: what is left when values are neither rescaled nor normalized. [height, width,
// 3]
std::string Process8Bit(const Json& golden) {
  Json config = Goldens()["configs"][golden["config"].get<std::string>()];
  config["do_rescale"] = false;
  config["do_normalize"] = false;
  const absl::StatusOr<ImageProcessor> processor = ImageProcessor::FromConfig(config);
  EXPECT_TRUE(processor.ok()) << processor.status();
  const absl::StatusOr<ProcessedImage> image = processor->Process(Decode(golden["file"]));
  EXPECT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->height, golden["height"]);
  EXPECT_EQ(image->width, golden["width"]);
  const size_t num_pixels = image->pixels.size() / 3;
  std::string interleaved(image->pixels.size(), '\0');
  for (size_t i = 0; i < interleaved.size(); ++i) {
    interleaved[i] = static_cast<char>(static_cast<uint8_t>(image->pixels[i % 3 * num_pixels + i / 3]));
  }
  return interleaved;
}

class ImageGoldenTest : public testing::TestWithParam<Json> {};

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

std::string CaseName(const testing::TestParamInfo<Json>& info) {
  std::string name = info.param["file"].get<std::string>() + "_" + info.param["config"].get<std::string>();
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, ImageGoldenTest,
                         testing::ValuesIn(Goldens()["cases"].begin(), Goldens()["cases"].end()), CaseName);

TEST(ImageGoldenTest, FloatPixelsAreBitForBitTransformers) {
  for (const Json& golden : Goldens()["hashes"]) {
    const absl::StatusOr<ImageProcessor> processor = ImageProcessor::FromConfig(golden["config"]);
    ASSERT_TRUE(processor.ok()) << processor.status();
    const absl::StatusOr<ProcessedImage> image = processor->Process(Decode(golden["file"]));
    ASSERT_TRUE(image.ok()) << image.status();
    std::string hash(SHA256_DIGEST_LENGTH, '\0');
    SHA256(reinterpret_cast<const uint8_t*>(image->pixels.data()), image->pixels.size() * sizeof(float),
           reinterpret_cast<uint8_t*>(hash.data()));
    EXPECT_EQ(absl::BytesToHexString(hash), golden["sha256"]) << golden["file"];
  }
}

}  // namespace
}  // namespace varserve::preprocess
