// Each of these needs the one before it.
// clang-format off
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/image/exif.h"
#include "server/image/image_codecs.h"

namespace varserve::image {
namespace {

// A progressive picture is decoded once per scan; encoders write a dozen, files made to waste time thousands.
constexpr int kMaxScans = 100;
constexpr int64_t kFixedBytes = 128 << 10;  // that libjpeg takes for any picture

constexpr int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// As Pillow converts, in its rounding. Files with four channels hold inverted values, as Adobe writes them.
void CmykToRgb(const uint8_t* inverted_cmyk, int pixels, uint8_t* rgb) {
  for (int i = 0; i < pixels; ++i, inverted_cmyk += 4, rgb += 3) {
    const int white = inverted_cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const int ink = (255 - inverted_cmyk[c]) * white + 128;
      rgb[c] = static_cast<uint8_t>(white - (((ink >> 8) + ink) >> 8));
    }
  }
}

// One file being read. libjpeg reports errors by longjmp to the method that called it, so these methods hold
// nothing that has a destructor.
class JpegReader {
 public:
  JpegReader(Bytes file, Stop stop) : file_(file), watch_(stop) {
    jpeg_.err = jpeg_std_error(&error_);
    jpeg_.client_data = this;
    error_.error_exit = [](j_common_ptr jpeg) { Self(jpeg)->Fail(); };
    error_.emit_message = [](j_common_ptr jpeg, int level) { Self(jpeg)->Warn(level); };
    error_.output_message = [](j_common_ptr) {};
  }
  ~JpegReader() { jpeg_destroy_decompress(&jpeg_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  bool ReadHeader() {
    if (setjmp(jump_) != 0) return false;
    jpeg_create_decompress(&jpeg_);
    jpeg_mem_src(&jpeg_, file_.data(), file_.size());
    jpeg_set_marker_processor(&jpeg_, JPEG_APP0 + 1,
                              [](j_decompress_ptr jpeg) { return Self(jpeg)->ReadExif(); });
    jpeg_read_header(&jpeg_, TRUE);
    return true;
  }

  bool ReadRows(RowSink& rows) {
    row_.resize(static_cast<size_t>(jpeg_.image_width) * (is_cmyk() ? 4 + 3 : 3));
    return ReadRows(row_.data(), rows);
  }

  ImageInfo info() {
    return {.width = static_cast<int>(jpeg_.image_width),
            .height = static_cast<int>(jpeg_.image_height),
            .orientation = ExifOrientation(exif_),
            .decode_bytes = kFixedBytes + BytesOfRows() + BytesOfCoefficients()};
  }

  absl::Status status() const {
    if (!watch_.status().ok()) return watch_.status();
    return absl::InvalidArgumentError(absl::StrCat("image: damaged or unsupported JPEG: ", message_));
  }

 private:
  static JpegReader* Self(j_common_ptr jpeg) { return static_cast<JpegReader*>(jpeg->client_data); }
  static JpegReader* Self(j_decompress_ptr jpeg) { return static_cast<JpegReader*>(jpeg->client_data); }

  bool is_cmyk() const { return jpeg_.num_components == 4; }

  // row: [width, 3], or [width, 4] of CMYK and [width, 3] after them
  bool ReadRows(uint8_t* row, RowSink& rows) {
    if (setjmp(jump_) != 0) return false;
    progress_.progress_monitor = [](j_common_ptr jpeg) { Self(jpeg)->LookAtProgress(); };
    jpeg_.progress = &progress_;
    jpeg_.out_color_space = is_cmyk() ? JCS_CMYK : JCS_RGB;
    // No more than was planned, and never a temporary file.
    jpeg_.mem->max_memory_to_use = static_cast<long>(info().decode_bytes);  // NOLINT: libjpeg's type
    jpeg_start_decompress(&jpeg_);
    const int width = static_cast<int>(jpeg_.image_width);
    while (jpeg_.output_scanline < jpeg_.output_height) {
      jpeg_read_scanlines(&jpeg_, &row, 1);
      if (is_cmyk()) CmykToRgb(row, width, row + static_cast<ptrdiff_t>(width) * 4);
      rows.AddRow(is_cmyk() ? row + static_cast<ptrdiff_t>(width) * 4 : row);
      if (!watch_.GoOn(int64_t{3} * width)) return false;
    }
    return true;
  }

  // Of the few rows that libjpeg works on, and of the row it hands out.
  int64_t BytesOfRows() const {
    constexpr int64_t kContext = 2;  // rows of blocks above and below, for smooth upsampling
    int64_t bytes = int64_t{7} * jpeg_.image_width;
    for (int i = 0; i < jpeg_.num_components; ++i) {
      const jpeg_component_info& component = jpeg_.comp_info[i];
      const int64_t block_row =
          int64_t{DCTSIZE} * RoundUp(component.width_in_blocks, component.h_samp_factor);
      bytes += block_row * component.v_samp_factor * (DCTSIZE + kContext);
      bytes += RoundUp(jpeg_.image_width, jpeg_.max_h_samp_factor) * jpeg_.max_v_samp_factor;  // upsampled
    }
    return bytes;
  }

  // Where a component's blocks are not all in one scan, all coefficients are held until the last one.
  int64_t BytesOfCoefficients() {
    if (jpeg_has_multiple_scans(&jpeg_) == FALSE) return 0;
    int64_t bytes = 0;
    for (int i = 0; i < jpeg_.num_components; ++i) {
      const jpeg_component_info& component = jpeg_.comp_info[i];
      const int64_t rows = RoundUp(component.height_in_blocks, component.v_samp_factor);
      bytes += rows * (static_cast<int64_t>(sizeof(JBLOCK)) *
                           RoundUp(component.width_in_blocks, component.h_samp_factor) +
                       static_cast<int64_t>(sizeof(JBLOCKROW)));
    }
    return bytes;
  }

  // Notes where the first EXIF block is; nothing is copied.
  boolean ReadExif() {
    constexpr char kExif[] = "Exif";  // with its zero
    jpeg_source_mgr& source = *jpeg_.src;
    const Bytes rest(source.next_input_byte, source.bytes_in_buffer);
    const size_t size = rest.size() < 2 ? 2 : size_t{rest[0]} << 8 | rest[1];
    const Bytes data = size < 2 ? Bytes() : rest.subspan(std::min<size_t>(2, rest.size()), size - 2);
    if (exif_.empty() && data.size() > sizeof(kExif) && std::memcmp(data.data(), kExif, sizeof(kExif)) == 0) {
      exif_ = data;
    }
    source.skip_input_data(&jpeg_, static_cast<long>(std::max<size_t>(size, 2)));  // NOLINT: libjpeg's type
    return TRUE;
  }

  [[noreturn]] void Fail() {
    error_.format_message(reinterpret_cast<j_common_ptr>(&jpeg_), message_);
    std::longjmp(jump_, 1);
  }

  // Of damaged data libjpeg only warns, and makes up the missing pixels.
  void Warn(int level) {
    if (level >= 0) return;
    switch (error_.msg_code) {
      case JWRN_ADOBE_XFORM:  // these cost no pixels
      case JWRN_BOGUS_ICC:
      case JWRN_BOGUS_PROGRESSION:
      case JWRN_EXTRANEOUS_DATA:
      case JWRN_JFIF_MAJOR:
      case JWRN_NOT_SEQUENTIAL:
        return;
      default:
        Fail();
    }
  }

  // libjpeg calls it for each row of blocks, of each scan.
  void LookAtProgress() {
    if (jpeg_.input_scan_number > kMaxScans) {
      snprintf(message_, sizeof(message_), "more than %d scans", kMaxScans);
      std::longjmp(jump_, 1);
    }
    if (!watch_.GoOn(int64_t{3} * DCTSIZE * jpeg_.image_width)) std::longjmp(jump_, 1);
  }

  const Bytes file_;
  StopWatch watch_;
  jpeg_decompress_struct jpeg_{};
  jpeg_error_mgr error_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_{};
  char message_[JMSG_LENGTH_MAX] = "";
  Bytes exif_;
  std::vector<uint8_t> row_;
};

}  // namespace

absl::StatusOr<ImageInfo> ReadJpegInfo(Bytes file) {
  JpegReader reader(file, NeverStop);
  if (!reader.ReadHeader()) return reader.status();
  return reader.info();
}

absl::Status DecodeJpeg(Bytes file, RowSink& rows, Stop stop) {
  JpegReader reader(file, stop);
  if (!reader.ReadHeader() || !reader.ReadRows(rows)) return reader.status();
  return absl::OkStatus();
}

}  // namespace varserve::image
