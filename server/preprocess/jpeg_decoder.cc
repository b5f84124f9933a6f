// Each of these needs the one before it.
// clang-format off
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <csetjmp>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/preprocess/exif.h"
#include "server/preprocess/image_codecs.h"

namespace varserve::preprocess {
namespace {

// A progressive picture is decoded once per scan; encoders write a dozen, files made to waste time thousands.
constexpr int kMaxScans = 100;

// One file being read. libjpeg reports errors by longjmp to the method that called it, so these methods hold
// nothing that has a destructor.
class JpegReader {
 public:
  explicit JpegReader(absl::Span<const uint8_t> bytes) : bytes_(bytes) {
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
    jpeg_mem_src(&jpeg_, bytes_.data(), bytes_.size());
    jpeg_save_markers(&jpeg_, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&jpeg_, TRUE);
    return true;
  }

  // out: [height, width, channels()]
  bool ReadPixels(uint8_t* out) {
    if (setjmp(jump_) != 0) return false;
    progress_.progress_monitor = [](j_common_ptr jpeg) { Self(jpeg)->CheckScans(); };
    jpeg_.progress = &progress_;
    jpeg_.out_color_space = is_cmyk() ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&jpeg_);
    while (jpeg_.output_scanline < jpeg_.output_height) {
      JSAMPROW row = out + static_cast<size_t>(jpeg_.output_scanline) * width() * channels();
      jpeg_read_scanlines(&jpeg_, &row, 1);
    }
    return true;
  }

  int width() const { return static_cast<int>(jpeg_.image_width); }
  int height() const { return static_cast<int>(jpeg_.image_height); }
  bool is_cmyk() const { return jpeg_.num_components == 4; }
  int channels() const { return is_cmyk() ? 4 : 3; }
  const char* failure() const { return message_; }

  int orientation() const {
    constexpr char kExif[] = "Exif";  // with its zero
    for (jpeg_saved_marker_ptr marker = jpeg_.marker_list; marker != nullptr; marker = marker->next) {
      if (marker->data_length > sizeof(kExif) && std::memcmp(marker->data, kExif, sizeof(kExif)) == 0) {
        return ExifOrientation({marker->data, marker->data_length});
      }
    }
    return 1;
  }

 private:
  static JpegReader* Self(j_common_ptr jpeg) { return static_cast<JpegReader*>(jpeg->client_data); }

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

  void CheckScans() {
    if (jpeg_.input_scan_number <= kMaxScans) return;
    snprintf(message_, sizeof(message_), "more than %d scans", kMaxScans);
    std::longjmp(jump_, 1);
  }

  absl::Span<const uint8_t> bytes_;
  jpeg_decompress_struct jpeg_{};
  jpeg_error_mgr error_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_{};
  char message_[JMSG_LENGTH_MAX] = "";
};

// As Pillow converts, in its rounding. Files with four channels hold inverted values, as Adobe writes them.
void CmykToRgb(absl::Span<const uint8_t> inverted_cmyk, uint8_t* rgb) {
  for (size_t i = 0; i < inverted_cmyk.size(); i += 4, rgb += 3) {
    const int white = inverted_cmyk[i + 3];
    for (int c = 0; c < 3; ++c) {
      const int ink = (255 - inverted_cmyk[i + c]) * white + 128;
      rgb[c] = static_cast<uint8_t>(white - (((ink >> 8) + ink) >> 8));
    }
  }
}

absl::Status Failure(const JpegReader& reader) {
  return absl::InvalidArgumentError(absl::StrCat("image: damaged or unsupported JPEG: ", reader.failure()));
}

}  // namespace

absl::StatusOr<RgbImage> DecodeJpeg(absl::Span<const uint8_t> bytes, int64_t max_pixels) {
  JpegReader reader(bytes);
  if (!reader.ReadHeader()) return Failure(reader);
  RETURN_IF_ERROR(CheckImageSize(reader.width(), reader.height(), max_pixels));
  const size_t num_pixels = static_cast<size_t>(reader.width()) * reader.height();
  RgbImage image{reader.width(), reader.height(), std::vector<uint8_t>(num_pixels * reader.channels())};
  if (!reader.ReadPixels(image.rgb.data())) return Failure(reader);
  if (reader.is_cmyk()) {
    const std::vector<uint8_t> cmyk = std::move(image.rgb);
    image.rgb.resize(num_pixels * 3);
    CmykToRgb(cmyk, image.rgb.data());
  }
  return Upright(std::move(image), reader.orientation());
}

}  // namespace varserve::preprocess
