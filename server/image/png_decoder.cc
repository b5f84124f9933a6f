#include <png.h>
#include <zlib.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/image/exif.h"
#include "server/image/image_codecs.h"

namespace varserve::image {
namespace {

// Chunks that do not change pixels: not worth the memory their contents could take.
constexpr png_byte kIgnoredChunks[] =
    "bKGD\0cHRM\0eXIf\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0sTER\0tEXt\0tIME\0"
    "zTXt";
constexpr int kChunkNameSize = 5;
constexpr int64_t kFixedBytes = 96 << 10;  // that libpng and zlib take for any picture
// A file may hold more compressed data than its picture takes: a little is let pass, much is there to waste
// time.
constexpr size_t kMaxExcess = 64 << 10;

// What libpng does not say about a file's chunks, or says too late. Reads chunks up to the end of the file.
struct Chunks {
  int orientation = 1;
  size_t data_end = 0;  // of the last IDAT, from the file's beginning
};

uint32_t ReadBigEndian(const uint8_t* bytes) {
  return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
}

Chunks FindChunks(Bytes file) {
  constexpr size_t kSignature = 8;
  constexpr size_t kHead = 8;  // length and name
  constexpr size_t kChecksum = 4;
  Chunks chunks;
  bool has_exif = false;
  for (size_t at = kSignature; file.size() - at >= kHead + kChecksum;) {
    const size_t size = ReadBigEndian(file.data() + at);
    if (size > file.size() - at - kHead - kChecksum) break;
    const Bytes name = file.subspan(at + 4, 4);
    const Bytes data = file.subspan(at + kHead, size);
    at += kHead + size + kChecksum;
    if (std::memcmp(name.data(), "IDAT", 4) == 0) chunks.data_end = at;
    if (has_exif || std::memcmp(name.data(), "eXIf", 4) != 0) continue;
    // As libpng: a damaged one is as good as none.
    const auto checksum = crc32(crc32(0, name.data(), 4), data.data(), static_cast<uInt>(size));
    has_exif = size >= 2 && (data[0] == 'I' || data[0] == 'M') && data[1] == data[0] &&
               checksum == ReadBigEndian(data.data() + size);
    if (has_exif) chunks.orientation = ExifOrientation(data);
  }
  return chunks;
}

// One file being read. libpng reports errors by longjmp to the method that called it, so these methods hold
// nothing that has a destructor.
class PngReader {
 public:
  PngReader(Bytes file, Stop stop) : file_(file), watch_(stop), chunks_(FindChunks(file)) {
    png_ = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp png, png_const_charp message) { Self(png)->Fail(message); },
        [](png_structp, png_const_charp) {});
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  // Asks for 8 bit RGB, or RGBA where there is transparency.
  bool ReadHeader() {
    if (png_ == nullptr || info_ == nullptr) return false;
    if (setjmp(jump_) != 0) return false;
    png_set_read_fn(png_, this, [](png_structp png, png_bytep out, size_t size) {
      static_cast<PngReader*>(png_get_io_ptr(png))->Read(out, size);
    });
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, kIgnoredChunks,
                                sizeof(kIgnoredChunks) / kChunkNameSize);
    png_read_info(png_, info_);
    png_set_expand(png_);
    png_set_strip_16(png_);
    png_set_gray_to_rgb(png_);
    num_passes_ = png_set_interlace_handling(png_);
    return true;
  }

  bool ReadRows(RowSink& rows) {
    if (!StartReading()) return false;
    const bool is_whole = num_passes_ > 1;
    pixels_.resize(row_size() * (is_whole ? height() : 1));
    rgb_.resize(channels() == 4 ? static_cast<size_t>(width()) * 3 : 0);
    return (is_whole ? ReadInterlaced(pixels_.data(), rows) : ReadOneByOne(pixels_.data(), rows)) &&
           ReadEnd();
  }

  ImageInfo info() const {
    // libpng works on two rows of up to 64 bits a pixel.
    const int64_t row = int64_t{width()} * (2 * 8 + 4 + 3);
    const int64_t whole = num_passes_ > 1 ? int64_t{width()} * height() * final_channels() : 0;
    return {.width = width(),
            .height = height(),
            .orientation = chunks_.orientation,
            .decode_bytes = kFixedBytes + row + whole};
  }

  absl::Status status() const {
    if (!watch_.status().ok()) return watch_.status();
    return absl::InvalidArgumentError(absl::StrCat("image: damaged or unsupported PNG: ", message_));
  }

 private:
  static PngReader* Self(png_structp png) { return static_cast<PngReader*>(png_get_error_ptr(png)); }

  int width() const { return static_cast<int>(png_get_image_width(png_, info_)); }
  int height() const { return static_cast<int>(png_get_image_height(png_, info_)); }
  int channels() const { return png_get_channels(png_, info_); }  // as asked for, once reading has started
  size_t row_size() const { return static_cast<size_t>(width()) * channels(); }
  int final_channels() const {
    const bool has_alpha = (png_get_color_type(png_, info_) & PNG_COLOR_MASK_ALPHA) != 0;
    return has_alpha || png_get_valid(png_, info_, PNG_INFO_tRNS) != 0 ? 4 : 3;
  }

  bool StartReading() {
    if (setjmp(jump_) != 0) return false;
    png_read_update_info(png_, info_);
    return true;
  }

  // row: [width, channels]
  bool ReadOneByOne(uint8_t* row, RowSink& rows) {
    if (setjmp(jump_) != 0) return false;
    for (int y = 0; y < height(); ++y) {
      png_read_row(png_, row, nullptr);
      if (!HandOn(row, rows)) return false;
    }
    return true;
  }

  // pixels: [height, width, channels]. Every pass adds pixels to rows of the passes before it.
  bool ReadInterlaced(uint8_t* pixels, RowSink& rows) {
    if (setjmp(jump_) != 0) return false;
    for (int pass = 0; pass < num_passes_; ++pass) {
      for (int y = 0; y < height(); ++y) {
        png_read_row(png_, pixels + y * row_size(), nullptr);
        if (!watch_.GoOn(static_cast<int64_t>(row_size()))) return false;
      }
    }
    for (int y = 0; y < height(); ++y) {
      if (!HandOn(pixels + y * row_size(), rows)) return false;
    }
    return true;
  }

  bool HandOn(const uint8_t* row, RowSink& rows) {
    if (!rgb_.empty()) LayOnWhite(row, width(), rgb_.data());
    rows.AddRow(rgb_.empty() ? row : rgb_.data());
    return watch_.GoOn(static_cast<int64_t>(row_size()));
  }

  bool ReadEnd() {
    if (setjmp(jump_) != 0) return false;
    png_read_end(png_, info_);
    return true;
  }

  [[noreturn]] void Fail(const char* message) {
    std::snprintf(message_, sizeof(message_), "%s", message);
    std::longjmp(jump_, 1);
  }

  // libpng reads on after the last row, to the end of the data.
  bool HasAllRows() const {
    constexpr int kInterlacedPasses = 7;
    if (num_passes_ > 1) return png_get_current_pass_number(png_) >= kInterlacedPasses;
    return height() > 0 && png_get_current_row_number(png_) >= static_cast<png_uint_32>(height());
  }

  void Read(png_bytep out, size_t size) {
    constexpr int64_t kMostInflated = 1024;  // bytes that one byte becomes
    if (size > file_.size() - position_) Fail("the file ends too early");
    if (!watch_.GoOn(static_cast<int64_t>(size) * kMostInflated)) Fail("stopped");
    if (HasAllRows() && position_ < chunks_.data_end && (excess_ += size) > kMaxExcess) {
      Fail("more data than the picture takes");
    }
    std::memcpy(out, file_.data() + position_, size);
    position_ += size;
  }

  const Bytes file_;
  size_t position_ = 0;
  size_t excess_ = 0;  // bytes of data after those of the last row
  StopWatch watch_;
  const Chunks chunks_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  int num_passes_ = 1;
  std::jmp_buf jump_{};
  char message_[128] = "out of memory";
  std::vector<uint8_t> pixels_;
  std::vector<uint8_t> rgb_;  // a row of it, [width, 3]; empty where libpng's rows are that
};

}  // namespace

absl::StatusOr<ImageInfo> ReadPngInfo(Bytes file) {
  PngReader reader(file, NeverStop);
  if (!reader.ReadHeader()) return reader.status();
  return reader.info();
}

absl::Status DecodePng(Bytes file, RowSink& rows, Stop stop) {
  PngReader reader(file, stop);
  if (!reader.ReadHeader() || !reader.ReadRows(rows)) return reader.status();
  return absl::OkStatus();
}

}  // namespace varserve::image
