// What a caller may send instead of a picture: too large, cut off, damaged, nonsense.
#include "server/preprocess/image_decoder.h"

// clang-format off
#include <stdio.h>
#include <jpeglib.h>
// clang-format on

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/preprocess/exif.h"
#include "tests/testing/files.h"

namespace varserve::preprocess {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string Golden(const std::string& file) {
  return ReadFile(RepositoryPath("tests/golden/images/files") / file);
}

void ExpectRefused(const std::string& bytes, const ImageLimits& limits = {},
                   const std::string& message = "") {
  const absl::StatusOr<RgbImage> image = DecodeImage(bytes, limits);
  EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(image.status().message()), testing::AllOf(StartsWith("image"), HasSubstr(message)));
}

// Decodes whatever it is; a picture must be whole.
void ExpectPictureOrRefusal(const std::string& bytes) {
  ImageLimits limits;
  limits.max_pixels = 1 << 20;  // a damaged header may claim any size
  const absl::StatusOr<RgbImage> image = DecodeImage(bytes, limits);
  if (image.ok()) {
    EXPECT_EQ(image->rgb.size(), size_t{3} * image->width * image->height);
  } else {
    EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(image.status().message()), StartsWith("image"));
  }
}

std::string RandomBytes(std::mt19937& random, size_t size) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

TEST(ImageDecoderTest, SizeIsCheckedFromTheHeader) {
  // Headers alone: whoever went on to decode would find the file cut off.
  const std::string png(
      "\x89PNG\r\n\x1A\n\0\0\0\rIHDR\0\0\x75\x30\0\0\x75\x30\x08\x02\0\0\0\xE9\x45\x6F\xED\0\0\0\0IDAT\x35"
      "\xAF\x06\x1E",
      45);
  const std::string jpeg(
      "\xFF\xD8\xFF\xC0\0\x0B\x08\xFD\xE8\xFD\xE8\x01\x01\x11\0\xFF\xDA\0\x08\x01\x01\0\0\x3F\0", 25);
  const std::string webp("RIFF\x1E\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0\xFE\x3F\0\xFE\x3F\0VP8 \0\0\0\0", 38);
  ExpectRefused(png, {}, "30000 x 30000 pixels are more than the 64000000 allowed");
  ExpectRefused(jpeg, {}, "65000 x 65000 pixels are more than the 64000000 allowed");
  ExpectRefused(webp, {}, "16383 x 16383 pixels are more than the 64000000 allowed");
}

TEST(ImageDecoderTest, LimitsAreInclusive) {
  const std::string file = Golden("photo.jpg");  // 320 x 213
  EXPECT_TRUE(DecodeImage(file, {file.size(), 320 * 213}).ok());
  ExpectRefused(file, {file.size() - 1, 320 * 213}, "bytes are more than");
  ExpectRefused(file, {file.size(), 320 * 213 - 1}, "320 x 213 pixels are more than");
}

TEST(ImageDecoderTest, RefusesWhatIsNoPicture) {
  ExpectRefused("", {}, "no data");
  ExpectRefused("GIF89a....", {}, "neither JPEG nor PNG nor WebP");
  ExpectRefused(std::string(40'000, '\0'), {}, "neither JPEG nor PNG nor WebP");
  ExpectRefused("\xFF\xD8\xFF", {}, "JPEG");
  ExpectRefused("\x89PNG\r\n\x1A\n", {}, "PNG");
  ExpectRefused("RIFF\x04    WEBP", {}, "WebP");
}

class CutFileTest : public testing::TestWithParam<const char*> {};

TEST_P(CutFileTest, IsRefusedWhereverItIsCut) {
  const std::string file = Golden(GetParam());
  for (size_t tenth = 0; tenth < 10; ++tenth) ExpectRefused(file.substr(0, file.size() * tenth / 10));
  ExpectRefused(file.substr(0, file.size() - 20));
}

INSTANTIATE_TEST_SUITE_P(All, CutFileTest,
                         testing::Values("photo.jpg", "progressive.jpg", "cmyk.jpg", "rgba.png",
                                         "interlaced.png", "3000x17.png", "lossy.webp", "lossless_alpha.webp",
                                         "animated.webp"));

TEST(ImageDecoderTest, DamagedFilesNeitherCrashNorPrint) {
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  std::mt19937 random(1);
  for (const auto& entry : std::filesystem::directory_iterator(RepositoryPath("tests/golden/images/files"))) {
    const std::string file = ReadFile(entry.path());
    for (int round = 0; round < 20; ++round) {
      std::string damaged = file;
      for (int i = 0; i < 5; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
      ExpectPictureOrRefusal(damaged);
    }
  }
  for (const std::string magic :
       {"\xFF\xD8\xFF", "\xFF\xD8\xFF\xE0", "\x89PNG\r\n\x1A\n", "RIFF\x10\x10\x10\x01WEBPVP8 ",
        "RIFF\x10\x10\x10\x01WEBPVP8L", "RIFF\x10\x10\x10\x01WEBPVP8X"}) {
    for (int round = 0; round < 200; ++round)
      ExpectPictureOrRefusal(magic + RandomBytes(random, random() % 500));
    ExpectPictureOrRefusal(magic + std::string(40'000, '\0'));
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

// A progressive JPEG with one scan for every coefficient.
std::string ManyScans() {
  jpeg_compress_struct jpeg;
  jpeg_error_mgr error;
  jpeg.err = jpeg_std_error(&error);
  jpeg_create_compress(&jpeg);
  unsigned char* data = nullptr;
  unsigned long size = 0;  // NOLINT: libjpeg's type
  jpeg_mem_dest(&jpeg, &data, &size);
  jpeg.image_width = 16;
  jpeg.image_height = 16;
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  std::vector<jpeg_scan_info> scans = {{3, {0, 1, 2, 0}, 0, 0, 0, 0}};
  for (int component = 0; component < 3; ++component) {
    for (int i = 1; i < 64; ++i) scans.push_back({1, {component, 0, 0, 0}, i, i, 0, 0});
  }
  jpeg.scan_info = scans.data();
  jpeg.num_scans = static_cast<int>(scans.size());
  jpeg_start_compress(&jpeg, TRUE);
  std::vector<JSAMPLE> row(48, 100);
  JSAMPROW rows[] = {row.data()};
  while (jpeg.next_scanline < jpeg.image_height) jpeg_write_scanlines(&jpeg, rows, 1);
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::string bytes(reinterpret_cast<char*>(data), size);
  std::free(data);
  return bytes;
}

TEST(ImageDecoderTest, RefusesFilesMadeToWasteTime) { ExpectRefused(ManyScans(), {}, "scans"); }

TEST(ImageDecoderTest, TurnsPicturesUpright) {
  // 2 x 3 pixels, named by their red value.
  const auto picture = [](int width, std::vector<uint8_t> reds) {
    RgbImage image{width, static_cast<int>(reds.size()) / width, {}};
    for (const uint8_t red : reds) image.rgb.insert(image.rgb.end(), {red, 0, 0});
    return image;
  };
  const RgbImage stored = picture(2, {1, 2, 3, 4, 5, 6});
  const std::vector<RgbImage> upright = {picture(2, {1, 2, 3, 4, 5, 6}), picture(2, {2, 1, 4, 3, 6, 5}),
                                         picture(2, {6, 5, 4, 3, 2, 1}), picture(2, {5, 6, 3, 4, 1, 2}),
                                         picture(3, {1, 3, 5, 2, 4, 6}), picture(3, {5, 3, 1, 6, 4, 2}),
                                         picture(3, {6, 4, 2, 5, 3, 1}), picture(3, {2, 4, 6, 1, 3, 5})};
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const RgbImage turned = Upright(stored, orientation);
    EXPECT_EQ(turned.rgb, upright[orientation - 1].rgb) << orientation;
    EXPECT_EQ(turned.width, upright[orientation - 1].width) << orientation;
  }
}

TEST(ExifTest, FindsTheOrientation) {
  const auto orientation = [](const std::string& exif) {
    return ExifOrientation({reinterpret_cast<const uint8_t*>(exif.data()), exif.size()});
  };
  const std::string little(
      "II*\0\x08\0\0\0\x02\0\x0F\x01\x02\0\x01\0\0\0aaaa\x12\x01\x03\0\x01\0\0\0\x06\0\0\0", 34);
  const std::string big("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0", 22);
  EXPECT_EQ(orientation(little), 6);
  EXPECT_EQ(orientation(big), 8);
  EXPECT_EQ(orientation(std::string("Exif\0\0", 6) + little), 6);
  for (size_t size = 0; size < 32; ++size) EXPECT_EQ(orientation(little.substr(0, size)), 1) << size;
  EXPECT_EQ(orientation(std::string("MM\0*\xFF\xFF\xFF\xFF\0\x01", 10)), 1);  // directory behind the end
  EXPECT_EQ(orientation(std::string("II*\0\x08\0\0\0\xFF\xFF", 10)), 1);      // 65535 entries, none there
  std::string unknown = big;
  unknown[19] = 9;
  EXPECT_EQ(orientation(unknown), 1);  // no such orientation
  EXPECT_EQ(orientation("nonsense nonsense"), 1);
}

}  // namespace
}  // namespace varserve::preprocess
