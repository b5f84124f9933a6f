#include <png.h>
#include <zlib.h>

#include <vector>

#include "tests/testing/picture_bytes.h"
#include "tests/testing/picture_files.h"

namespace varserve::testing {
namespace {

struct PngKind {
  int color = PNG_COLOR_TYPE_RGB;
  int bits = 8;
  bool interlaced = false;
  bool has_key = false;  // a transparent color, or transparent colors of the palette
};

void Append(png_structp png, png_bytep data, size_t size) {
  static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<char*>(data), size);
}

void SetColors(png_structp png, png_infop info, const PngKind& kind) {
  if (kind.color == PNG_COLOR_TYPE_PALETTE) {
    const std::string colors = Noise(size_t{3} << kind.bits, 2);
    png_set_PLTE(png, info, reinterpret_cast<const png_color*>(colors.data()), 1 << kind.bits);
  }
  if (!kind.has_key) return;
  png_byte alpha[] = {0, 100, 200};
  png_color_16 key{};
  key.red = key.green = key.blue = key.gray = 1;
  png_set_tRNS(png, info, alpha, kind.color == PNG_COLOR_TYPE_PALETTE ? 2 : 0, &key);
}

std::string MakePng(int width, int height, int orientation, const PngKind& kind, bool blank) {
  std::string file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(png, &file, Append, nullptr);
  png_set_compression_level(png, 1);
  png_set_filter(png, 0, blank ? PNG_FILTER_NONE : PNG_ALL_FILTERS);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), kind.bits,
               kind.color, kind.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_BASE, PNG_FILTER_TYPE_BASE);
  SetColors(png, info, kind);
  std::string exif = Orientation(orientation);
  png_set_eXIf_1(png, info, static_cast<png_uint_32>(exif.size()), reinterpret_cast<png_bytep>(exif.data()));
  png_write_info(png, info);
  const size_t row_size = png_get_rowbytes(png, info);
  const std::string noise = blank ? std::string(row_size + 1009, '\0') : Noise(row_size + 1009, 3);
  const int passes = png_set_interlace_handling(png);
  for (int pass = 0; pass < passes; ++pass) {
    for (int y = 0; y < height; ++y) {
      png_write_row(png, reinterpret_cast<png_const_bytep>(noise.data()) + y * 7 % 1009);
    }
  }
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return file;
}

PictureKind Kind(const std::string& name, const PngKind& kind) {
  return {name, [kind](int width, int height, int orientation) {
            return MakePng(width, height, orientation, kind, /*blank=*/false);
          }};
}

}  // namespace

std::vector<PictureKind> PngKinds() {
  constexpr int kRgb = PNG_COLOR_TYPE_RGB;
  constexpr int kRgba = PNG_COLOR_TYPE_RGB_ALPHA;
  constexpr int kGrey = PNG_COLOR_TYPE_GRAY;
  constexpr int kGreyAlpha = PNG_COLOR_TYPE_GRAY_ALPHA;
  constexpr int kPalette = PNG_COLOR_TYPE_PALETTE;
  return {
      Kind("png_rgb", {.color = kRgb}),
      Kind("png_rgba", {.color = kRgba}),
      Kind("png_rgb_key", {.color = kRgb, .has_key = true}),
      Kind("png_rgb16", {.color = kRgb, .bits = 16}),
      Kind("png_rgb16_key", {.color = kRgb, .bits = 16, .has_key = true}),
      Kind("png_rgba16", {.color = kRgba, .bits = 16}),
      Kind("png_grey1", {.color = kGrey, .bits = 1}),
      Kind("png_grey16_key", {.color = kGrey, .bits = 16, .has_key = true}),
      Kind("png_grey_alpha", {.color = kGreyAlpha}),
      Kind("png_palette", {.color = kPalette}),
      Kind("png_palette2_alpha", {.color = kPalette, .bits = 2, .has_key = true}),
      Kind("png_interlaced", {.color = kRgb, .interlaced = true}),
      Kind("png_interlaced_rgba", {.color = kRgba, .interlaced = true}),
      Kind("png_interlaced_rgba16", {.color = kRgba, .bits = 16, .interlaced = true}),
      Kind("png_interlaced_grey", {.color = kGrey, .interlaced = true}),
      Kind("png_interlaced_palette_alpha",
           {.color = kPalette, .bits = 4, .interlaced = true, .has_key = true}),
  };
}

std::string BlankPng(int width, int height, int orientation) {
  return MakePng(width, height, orientation, {.color = PNG_COLOR_TYPE_RGB_ALPHA}, /*blank=*/true);
}

std::string PngWithExcess(int width, int height, int excess) {
  const auto big_endian = [](uint32_t value) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
    return bytes;
  };
  const auto chunk = [&](const std::string& name, const std::string& data) {
    const std::string content = name + data;
    const auto checksum =
        crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size()));
    return big_endian(static_cast<uint32_t>(data.size())) + content +
           big_endian(static_cast<uint32_t>(checksum));
  };
  const std::string header = big_endian(static_cast<uint32_t>(width)) +
                             big_endian(static_cast<uint32_t>(height)) +
                             std::string("\x08\x02\0\0\0", 5);  // 8 bit RGB
  const std::string pixels(static_cast<size_t>(width * 3 + 1) * height + excess, '\0');
  uLongf size = compressBound(pixels.size());
  std::string data(size, '\0');
  compress2(reinterpret_cast<Bytef*>(data.data()), &size, reinterpret_cast<const Bytef*>(pixels.data()),
            pixels.size(), Z_BEST_SPEED);
  data.resize(size);
  return "\x89PNG\r\n\x1A\n" + chunk("IHDR", header) + chunk("IDAT", data) + chunk("IEND", "");
}

}  // namespace varserve::testing
