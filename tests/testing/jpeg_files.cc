// Each of these needs the one before it.
// clang-format off
#include <stdio.h>
#include <jpeglib.h>
// clang-format on

#include <cstdlib>
#include <vector>

#include "tests/testing/picture_bytes.h"
#include "tests/testing/picture_files.h"

namespace varserve::testing {
namespace {

struct JpegKind {
  J_COLOR_SPACE space = JCS_RGB;
  int components = 3;
  bool progressive = false;
  bool scan_for_each_component = false;
  int luma_columns = 1;  // of chroma's
  int luma_rows = 1;
};

class JpegWriter {
 public:
  JpegWriter(int width, int height, const JpegKind& kind) : kind_(kind) {
    jpeg_.err = jpeg_std_error(&error_);
    jpeg_create_compress(&jpeg_);
    jpeg_mem_dest(&jpeg_, &data_, &size_);
    jpeg_.image_width = static_cast<JDIMENSION>(width);
    jpeg_.image_height = static_cast<JDIMENSION>(height);
    jpeg_.input_components = kind.components;
    jpeg_.in_color_space = kind.space;
    jpeg_set_defaults(&jpeg_);
    jpeg_set_quality(&jpeg_, 75, TRUE);
    if (kind.space == JCS_RGB) {
      jpeg_.comp_info[0].h_samp_factor = kind.luma_columns;
      jpeg_.comp_info[0].v_samp_factor = kind.luma_rows;
    }
    if (kind.progressive) jpeg_simple_progression(&jpeg_);
    if (kind.scan_for_each_component) {
      for (int i = 0; i < kind.components; ++i) scans_.push_back({1, {i, 0, 0, 0}, 0, 63, 0, 0});
      SetScans();
    }
  }
  ~JpegWriter() {
    jpeg_destroy_compress(&jpeg_);
    std::free(data_);
  }

  // One scan a coefficient.
  void SetScans(int count) {
    scans_ = {{3, {0, 1, 2, 0}, 0, 0, 0, 0}};
    for (int i = 1; i < count; ++i) {
      const int at = 1 + (i - 1) % 63;
      scans_.push_back({1, {(i - 1) / 63, 0, 0, 0}, at, at, 0, 0});
    }
    SetScans();
  }

  std::string Write(int orientation, const std::string& pixels) {
    jpeg_start_compress(&jpeg_, TRUE);
    const std::string exif = std::string("Exif\0\0", 6) + Orientation(orientation);
    jpeg_write_marker(&jpeg_, JPEG_APP0 + 1, reinterpret_cast<const JOCTET*>(exif.data()),
                      static_cast<unsigned>(exif.size()));
    std::vector<JSAMPLE> row(static_cast<size_t>(jpeg_.image_width) * kind_.components);
    JSAMPROW rows[] = {row.data()};
    for (size_t at = 0; jpeg_.next_scanline < jpeg_.image_height;) {
      for (JSAMPLE& value : row) value = static_cast<JSAMPLE>(pixels[at++ % pixels.size()]);
      jpeg_write_scanlines(&jpeg_, rows, 1);
    }
    jpeg_finish_compress(&jpeg_);
    return {reinterpret_cast<char*>(data_), size_};
  }

 private:
  void SetScans() {
    jpeg_.scan_info = scans_.data();
    jpeg_.num_scans = static_cast<int>(scans_.size());
  }

  const JpegKind kind_;
  jpeg_compress_struct jpeg_{};
  jpeg_error_mgr error_{};
  std::vector<jpeg_scan_info> scans_;
  unsigned char* data_ = nullptr;
  unsigned long size_ = 0;  // NOLINT: libjpeg's type
};

PictureKind Kind(const std::string& name, const JpegKind& kind) {
  return {name, [kind](int width, int height, int orientation) {
            return JpegWriter(width, height, kind).Write(orientation, Noise(100'003, 1));
          }};
}

}  // namespace

std::vector<PictureKind> JpegKinds() {
  return {
      Kind("jpeg_444", {}),
      Kind("jpeg_422", {.luma_columns = 2}),
      Kind("jpeg_420", {.luma_columns = 2, .luma_rows = 2}),
      Kind("jpeg_410", {.luma_columns = 4, .luma_rows = 2}),
      Kind("jpeg_tall_samples", {.luma_rows = 4}),
      Kind("jpeg_grey", {.space = JCS_GRAYSCALE, .components = 1}),
      Kind("jpeg_cmyk", {.space = JCS_CMYK, .components = 4}),
      Kind("jpeg_scans", {.scan_for_each_component = true, .luma_columns = 2, .luma_rows = 2}),
      Kind("jpeg_progressive_444", {.progressive = true}),
      Kind("jpeg_progressive_420", {.progressive = true, .luma_columns = 2, .luma_rows = 2}),
      Kind("jpeg_progressive_grey", {.space = JCS_GRAYSCALE, .components = 1, .progressive = true}),
      Kind("jpeg_progressive_cmyk", {.space = JCS_CMYK, .components = 4, .progressive = true}),
  };
}

std::string JpegOfScans(int width, int height, int scans) {
  JpegWriter writer(width, height, {});
  writer.SetScans(scans);
  return writer.Write(1, "d");
}

}  // namespace varserve::testing
