#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/preprocess/exif.h"
#include "server/preprocess/image_codecs.h"

namespace varserve::preprocess {
namespace {

// Chunks that neither change pixels nor turn the picture: not worth the memory their contents could take.
constexpr png_byte kIgnoredChunks[] =
    "bKGD\0cHRM\0gAMA\0hIST\0iCCP\0iTXt\0oFFs\0pCAL\0pHYs\0sBIT\0sCAL\0sPLT\0sRGB\0sTER\0tEXt\0tIME\0zTXt";
constexpr int kChunkNameSize = 5;

// One file being read. libpng reports errors by longjmp to the method that called it, so these methods hold
// nothing that has a destructor.
class PngReader {
 public:
  explicit PngReader(absl::Span<const uint8_t> rest) : rest_(rest) {
    png_ = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp png, png_const_charp message) { Self(png)->Fail(message); },
        [](png_structp, png_const_charp) {});
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  bool ReadHeader() {
    if (png_ == nullptr || info_ == nullptr) return false;
    if (setjmp(jump_) != 0) return false;
    png_set_read_fn(png_, this, [](png_structp png, png_bytep out, size_t size) {
      static_cast<PngReader*>(png_get_io_ptr(png))->Read(out, size);
    });
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, kIgnoredChunks,
                                sizeof(kIgnoredChunks) / kChunkNameSize);
    png_read_info(png_, info_);
    return true;
  }

  // Asks for 8 bit RGB, or RGBA where there is transparency.
  bool SetUp() {
    if (setjmp(jump_) != 0) return false;
    png_set_expand(png_);
    png_set_strip_16(png_);
    png_set_gray_to_rgb(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  bool ReadPixels(png_bytep* rows) {
    if (setjmp(jump_) != 0) return false;
    png_read_image(png_, rows);
    png_read_end(png_, info_);
    return true;
  }

  int width() const { return static_cast<int>(png_get_image_width(png_, info_)); }
  int height() const { return static_cast<int>(png_get_image_height(png_, info_)); }
  int channels() const { return png_get_channels(png_, info_); }
  const char* failure() const { return message_; }

  int orientation() const {
    png_uint_32 size = 0;
    png_bytep exif = nullptr;
    if (png_get_eXIf_1(png_, info_, &size, &exif) == 0) return 1;
    return ExifOrientation({exif, size});
  }

 private:
  static PngReader* Self(png_structp png) { return static_cast<PngReader*>(png_get_error_ptr(png)); }

  [[noreturn]] void Fail(const char* message) {
    std::snprintf(message_, sizeof(message_), "%s", message);
    std::longjmp(jump_, 1);
  }

  void Read(png_bytep out, size_t size) {
    if (size > rest_.size()) Fail("the file ends too early");
    std::memcpy(out, rest_.data(), size);
    rest_.remove_prefix(size);
  }

  absl::Span<const uint8_t> rest_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf jump_{};
  char message_[128] = "out of memory";
};

absl::Status Failure(const PngReader& reader) {
  return absl::InvalidArgumentError(absl::StrCat("image: damaged or unsupported PNG: ", reader.failure()));
}

}  // namespace

absl::StatusOr<RgbImage> DecodePng(absl::Span<const uint8_t> bytes, int64_t max_pixels) {
  PngReader reader(bytes);
  if (!reader.ReadHeader()) return Failure(reader);
  const int width = reader.width();
  const int height = reader.height();
  RETURN_IF_ERROR(CheckImageSize(width, height, max_pixels));
  if (!reader.SetUp()) return Failure(reader);
  const size_t row_size = static_cast<size_t>(width) * reader.channels();
  std::vector<uint8_t> pixels(row_size * height);  // [height, width, channels]
  std::vector<png_bytep> rows(height);
  for (int y = 0; y < height; ++y) rows[y] = pixels.data() + y * row_size;
  if (!reader.ReadPixels(rows.data())) return Failure(reader);
  RgbImage image =
      reader.channels() == 4 ? LayOnWhite(width, height, pixels) : RgbImage{width, height, std::move(pixels)};
  return Upright(std::move(image), reader.orientation());
}

}  // namespace varserve::preprocess
