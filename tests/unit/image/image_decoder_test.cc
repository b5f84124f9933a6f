// What a caller may send instead of a picture: too large, cut off, damaged, nonsense.
#include "server/image/image_decoder.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/image/exif.h"
#include "tests/testing/files.h"
#include "tests/testing/picture_files.h"
#include "tests/unit/image/collected_rows.h"

namespace varserve::image {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using varserve::testing::PictureKind;

std::string Golden(const std::string& file) {
  return ReadFile(RepositoryPath("tests/golden/images/files") / file);
}

void ExpectRefused(const std::string& bytes, const ImageLimits& limits = {},
                   const std::string& message = "") {
  const absl::StatusOr<RgbImage> image = DecodeStored(bytes, limits);
  EXPECT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(image.status().message()),
              ::testing::AllOf(StartsWith("image"), HasSubstr(message)));
}

// Decodes whatever it is; a picture must be whole.
void ExpectPictureOrRefusal(const std::string& bytes) {
  ImageLimits limits;
  limits.max_pixels = 1 << 20;  // a damaged header may claim any size
  const absl::StatusOr<RgbImage> image = DecodeStored(bytes, limits);
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
  EXPECT_TRUE(DecodeStored(file, {file.size(), 320 * 213}).ok());
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

class CutFileTest : public ::testing::TestWithParam<const char*> {};

TEST_P(CutFileTest, IsRefusedWhereverItIsCut) {
  const std::string file = Golden(GetParam());
  for (size_t tenth = 0; tenth < 10; ++tenth) ExpectRefused(file.substr(0, file.size() * tenth / 10));
  ExpectRefused(file.substr(0, file.size() - 20));
}

INSTANTIATE_TEST_SUITE_P(All, CutFileTest,
                         ::testing::Values("photo.jpg", "progressive.jpg", "cmyk.jpg", "rgba.png",
                                           "interlaced.png", "3000x17.png", "lossy.webp",
                                           "lossless_alpha.webp", "animated.webp"));

TEST(ImageDecoderTest, DamagedFilesNeitherCrashNorPrint) {
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
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
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
}

TEST(ImageDecoderTest, RefusesFilesMadeToWasteTime) {
  ExpectRefused(varserve::testing::JpegOfScans(16, 16, 190), {}, "scans");
  ExpectRefused(varserve::testing::PngWithExcess(4, 4, 100 << 20), {}, "more data than the picture takes");
  EXPECT_TRUE(DecodeStored(varserve::testing::PngWithExcess(4, 4, 1 << 20)).ok());  // a slip, not an attack
}

TEST(ImageDecoderTest, ReadsTheOrientationWhereverItIs) {
  for (const PictureKind& kind : varserve::testing::PictureKinds()) {
    for (const int orientation : {1, 2, 8}) {
      EXPECT_EQ(ReadImageInfo(kind.make(3, 2, orientation), {})->orientation, orientation) << kind.name;
    }
  }
  // After the pixels of a PNG, too; a damaged one does not count.
  std::string png = Golden("exif6.png");
  const size_t exif = png.find("eXIf") - 4;
  const size_t size = 12 + static_cast<uint8_t>(png[exif + 3]);
  const std::string chunk = png.substr(exif, size);
  png.erase(exif, size);
  EXPECT_EQ(ReadImageInfo(png, {})->orientation, 1);
  png.insert(png.size() - 12, chunk);
  EXPECT_EQ(ReadImageInfo(png, {})->orientation, 6);
  png[png.size() - 12 - 1] ^= 1;
  EXPECT_EQ(ReadImageInfo(png, {})->orientation, 1);
}

class StopTest : public ::testing::TestWithParam<PictureKind> {};

// Whenever the answer is to stop, decoding ends with it and no more rows come.
TEST_P(StopTest, StopsInside) {
  const std::string file = GetParam().make(1500, 1100, 1);
  int looks = 0;
  const auto count = [&] {
    ++looks;
    return absl::OkStatus();
  };
  ASSERT_TRUE(DecodeStored(file, {}, count).ok());
  EXPECT_GE(looks, 4) << "of a picture of 5 MB";
  for (const int last : {1, 2, looks / 2, looks}) {
    int left = last;
    CollectedRows rows(1500, 1100);
    const absl::Status status = DecodeImage(file, rows, [&] {
      EXPECT_GT(left, 0) << "asked again";
      return --left == 0 ? absl::CancelledError("enough") : absl::OkStatus();
    });
    EXPECT_EQ(status, absl::CancelledError("enough")) << "at look " << last << " of " << looks;
    if (last == looks) continue;  // all rows had come
    EXPECT_LT(rows.image().rgb.size(), size_t{3} * 1500 * 1100) << "at look " << last;
  }
}

INSTANTIATE_TEST_SUITE_P(All, StopTest, ::testing::ValuesIn(varserve::testing::PictureKinds()),
                         [](const auto& info) { return info.param.name; });

// Files that are small but take long are stopped on the way.
TEST(ImageDecoderTest, StopsFilesMadeToWasteTime) {
  for (const std::string& file :
       {varserve::testing::JpegOfScans(2000, 2000, 99), varserve::testing::BlankPng(6000, 6000, 6)}) {
    int left = 3;
    const absl::Status status = DecodeStored(file, {}, [&] {
                                  return --left == 0 ? absl::DeadlineExceededError("late") : absl::OkStatus();
                                }).status();
    EXPECT_EQ(status, absl::DeadlineExceededError("late"));
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
  EXPECT_EQ(orientation(std::string("MM\0*\xFF\xFF\xFF\xFF\0\x01", 10)), 1);  // directory past the end
  EXPECT_EQ(orientation(std::string("II*\0\x08\0\0\0\xFF\xFF", 10)), 1);      // 65535 entries, none there
  std::string unknown = big;
  unknown[19] = 9;
  EXPECT_EQ(orientation(unknown), 1);  // no such orientation
  EXPECT_EQ(orientation("nonsense nonsense"), 1);
}

}  // namespace
}  // namespace varserve::image
