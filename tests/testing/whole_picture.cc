// Each of these needs the one before it.
// clang-format off
#include "tests/testing/whole_picture.h"
#include <stdio.h>
#include <jpeglib.h>
#include <png.h>
#include <webp/decode.h>
#include <webp/demux.h>
// clang-format on

#include <algorithm>
#include <cstring>

namespace varserve::testing {
namespace {

using image::ResizeAxis;
using image::ResizeFilter;
using image::ResizePlan;
using image::RgbImage;

RgbImage Blank(int width, int height) {
  return {width, height, std::vector<uint8_t>(static_cast<size_t>(width) * height * 3)};
}

int DivideBy255(int x) { return (2 * x + 255) / 510; }  // rounded

RgbImage LayOnWhite(int width, int height, const uint8_t* rgba) {
  RgbImage image = Blank(width, height);
  for (size_t i = 0; i < image.rgb.size(); ++i) {
    const int alpha = rgba[i / 3 * 4 + 3];
    image.rgb[i] = static_cast<uint8_t>(DivideBy255(rgba[i / 3 * 4 + i % 3] * alpha + 255 * (255 - alpha)));
  }
  return image;
}

RgbImage DecodeWholeJpeg(const std::string& file) {
  jpeg_decompress_struct jpeg{};
  jpeg_error_mgr error{};
  jpeg.err = jpeg_std_error(&error);
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(file.data()), file.size());
  jpeg_read_header(&jpeg, TRUE);
  const bool is_cmyk = jpeg.num_components == 4;
  jpeg.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&jpeg);
  RgbImage image = Blank(static_cast<int>(jpeg.output_width), static_cast<int>(jpeg.output_height));
  std::vector<uint8_t> row(size_t{4} * jpeg.output_width);
  JSAMPROW rows[] = {row.data()};
  for (size_t at = 0; jpeg.output_scanline < jpeg.output_height;) {
    jpeg_read_scanlines(&jpeg, rows, 1);
    for (size_t x = 0; x < jpeg.output_width; ++x) {
      for (size_t c = 0; c < 3; ++c) {
        const uint8_t* const cmyk = &row[4 * x];  // inverted
        image.rgb[at++] =
            is_cmyk ? static_cast<uint8_t>(cmyk[3] - DivideBy255((255 - cmyk[c]) * cmyk[3])) : row[3 * x + c];
      }
    }
  }
  jpeg_destroy_decompress(&jpeg);
  return image;
}

RgbImage DecodeWholePng(const std::string& file) {
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  const char* at = file.data();
  png_set_read_fn(png, &at, [](png_structp reader, png_bytep out, size_t size) {
    const char** const from = static_cast<const char**>(png_get_io_ptr(reader));
    std::memcpy(out, *from, size);
    *from += size;
  });
  png_read_png(png, info, PNG_TRANSFORM_EXPAND | PNG_TRANSFORM_STRIP_16 | PNG_TRANSFORM_GRAY_TO_RGB, nullptr);
  const int width = static_cast<int>(png_get_image_width(png, info));
  const int height = static_cast<int>(png_get_image_height(png, info));
  const int channels = png_get_channels(png, info);
  std::vector<uint8_t> pixels;
  for (int y = 0; y < height; ++y) {
    const png_bytep row = png_get_rows(png, info)[y];
    pixels.insert(pixels.end(), row, row + static_cast<ptrdiff_t>(width) * channels);
  }
  png_destroy_read_struct(&png, &info, nullptr);
  return channels == 4 ? LayOnWhite(width, height, pixels.data()) : RgbImage{width, height, pixels};
}

// Of a still, too, as an animation of one picture.
RgbImage DecodeWholeWebp(const std::string& file) {
  const WebPData data{reinterpret_cast<const uint8_t*>(file.data()), file.size()};
  WebPAnimDecoderOptions options;
  WebPAnimDecoderOptionsInit(&options);
  WebPAnimDecoder* const decoder = WebPAnimDecoderNew(&data, &options);
  WebPAnimInfo info;
  WebPAnimDecoderGetInfo(decoder, &info);
  uint8_t* rgba = nullptr;
  int timestamp = 0;
  WebPAnimDecoderGetNext(decoder, &rgba, &timestamp);
  RgbImage image =
      LayOnWhite(static_cast<int>(info.canvas_width), static_cast<int>(info.canvas_height), rgba);
  WebPAnimDecoderDelete(decoder);
  return image;
}

RgbImage OnCanvas(const RgbImage& picture, const ResizePlan& plan) {
  RgbImage canvas = Blank(plan.x.canvas, plan.y.canvas);
  for (size_t i = 0; i < canvas.rgb.size(); ++i) canvas.rgb[i] = plan.padding[i % 3];
  for (int y = 0; y < picture.height; ++y) {
    std::copy_n(&picture.rgb[static_cast<size_t>(y) * picture.width * 3],
                static_cast<size_t>(picture.width) * 3,
                &canvas.rgb[(static_cast<size_t>(y + plan.y.offset) * canvas.width + plan.x.offset) * 3]);
  }
  return canvas;
}

RgbImage Transposed(const RgbImage& image) { return TurnUpright(image, 5); }

// Along the rows of a canvas.
RgbImage ResizeRows(const RgbImage& canvas, const ResizeAxis& axis, ResizeFilter filter) {
  const auto weights = image::MakeResizeWeights({.size = axis.canvas,
                                                 .canvas = axis.canvas,
                                                 .resized = axis.resized,
                                                 .first = axis.first,
                                                 .count = axis.count},
                                                filter, /*backwards=*/false);
  RgbImage resized = Blank(axis.count, canvas.height);
  for (size_t i = 0; i < resized.rgb.size(); ++i) {
    const size_t c = i % 3;
    const auto x = static_cast<int>(i / 3 % axis.count);
    const size_t y = i / 3 / axis.count;
    int64_t sum = weights.half();
    for (int j = 0; j < weights.size[x]; ++j) {
      sum += int64_t{weights.of(x)[j]} * canvas.rgb[(y * canvas.width + weights.begin[x] + j) * 3 + c];
    }
    resized.rgb[i] = static_cast<uint8_t>(std::clamp<int64_t>(sum >> weights.precision, 0, 255));
  }
  return resized;
}

}  // namespace

RgbImage DecodeWhole(const std::string& file) {
  if (file[0] == '\xFF') return DecodeWholeJpeg(file);
  return file[0] == 'R' ? DecodeWholeWebp(file) : DecodeWholePng(file);
}

RgbImage TurnUpright(const RgbImage& stored, int orientation) {
  const bool transposed = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  RgbImage upright = transposed ? Blank(stored.height, stored.width) : Blank(stored.width, stored.height);
  for (int y = 0; y < upright.height; ++y) {
    for (int x = 0; x < upright.width; ++x) {
      const int stored_x = transposed ? y : x;
      const int stored_y = transposed ? x : y;
      const size_t row = from_bottom ? stored.height - 1 - stored_y : stored_y;
      const size_t column = from_right ? stored.width - 1 - stored_x : stored_x;
      std::copy_n(&stored.rgb[(row * stored.width + column) * 3], 3,
                  &upright.rgb[(static_cast<size_t>(y) * upright.width + x) * 3]);
    }
  }
  return upright;
}

RgbImage ResizeWhole(const RgbImage& upright, const ResizePlan& plan) {
  const RgbImage rows = ResizeRows(OnCanvas(upright, plan), plan.x, plan.filter);
  return Transposed(ResizeRows(Transposed(rows), plan.y, plan.filter));
}

}  // namespace varserve::testing
