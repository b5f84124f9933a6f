#include <webp/decode.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "server/base/status_macros.h"
#include "server/image/exif.h"
#include "server/image/image_codecs.h"
#include "server/image/webp_memory.h"

namespace varserve::image {
namespace {

absl::Status Failure() { return absl::InvalidArgumentError("image: damaged or unsupported WebP"); }

uint32_t ReadLittleEndian(const uint8_t* bytes, int count) {
  uint32_t value = 0;
  for (int i = count - 1; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}

// The chunks of a RIFF file, or of a part of one, one after the other.
class ChunkReader {
 public:
  explicit ChunkReader(Bytes chunks) : rest_(chunks) {}

  // False at the end, or where a chunk is cut off.
  bool Next() {
    if (rest_.size() < kHead) return false;
    const size_t size = ReadLittleEndian(rest_.data() + 4, 4);
    if (size > rest_.size() - kHead) return false;
    chunk_ = rest_;
    data_ = rest_.subspan(kHead, size);
    rest_ = rest_.subspan(std::min(rest_.size(), kHead + size + size % 2));
    return true;
  }
  bool Is(const char* name) const { return std::memcmp(chunk_.data(), name, 4) == 0; }
  Bytes data() const { return data_; }
  Bytes from_here() const { return chunk_; }  // this chunk and what follows it
  bool at_end() const { return rest_.empty(); }

 private:
  static constexpr size_t kHead = 8;  // name and length

  Bytes rest_;
  Bytes chunk_;
  Bytes data_;
};

// The picture to decode, and where it lies on the canvas.
struct Frame {
  Bytes bitstream;
  int left = 0;
  int top = 0;
  int width = 0;
  int height = 0;
  bool is_lossless = false;
  bool has_alpha = false;
};

struct WebpFile {
  int width = 0;  // of the canvas
  int height = 0;
  int orientation = 1;
  Frame frame;
};

// What the chunks of a file hold. libwebp can decode a picture as its bytes come, but then does not mind if
// none come any more, so whether chunks are whole is checked here.
struct Contents {
  Bytes exif;
  Bytes animation_frame;  // the first
  Bytes bitstream;        // of a still
  bool is_whole = false;
};

bool IsBitstream(const ChunkReader& chunks) { return chunks.Is("VP8 ") || chunks.Is("VP8L"); }

Contents ReadContents(Bytes file) {
  constexpr size_t kHead = 12;  // RIFF, length of what follows, WEBP
  constexpr uint8_t kHasExif = 8;
  Contents contents;
  const size_t size = ReadLittleEndian(file.data() + 4, 4);
  if (size < 4 || size > file.size() - 8) return contents;
  ChunkReader chunks(file.subspan(kHead, size - 4));
  if (!chunks.Next()) return contents;
  if (IsBitstream(chunks)) contents.bitstream = file;
  if (!chunks.Is("VP8X") || chunks.data().empty()) return contents;
  const bool has_exif = (chunks.data()[0] & kHasExif) != 0;
  while (chunks.Next()) {
    if (has_exif && contents.exif.empty() && chunks.Is("EXIF")) contents.exif = chunks.data();
    if (contents.animation_frame.empty() && chunks.Is("ANMF")) contents.animation_frame = chunks.data();
    if (IsBitstream(chunks)) contents.bitstream = file;
  }
  contents.is_whole = chunks.at_end();
  return contents;
}

absl::StatusOr<Frame> ReadAnimationFrame(Bytes data) {
  constexpr size_t kHead = 16;
  if (data.size() < kHead) return Failure();
  Frame frame{.left = 2 * static_cast<int>(ReadLittleEndian(data.data(), 3)),
              .top = 2 * static_cast<int>(ReadLittleEndian(data.data() + 3, 3))};
  ChunkReader chunks(data.subspan(kHead));
  while (chunks.Next()) {
    const bool is_bitstream = IsBitstream(chunks);
    if (frame.bitstream.empty() && (is_bitstream || chunks.Is("ALPH"))) frame.bitstream = chunks.from_here();
    if (is_bitstream) return frame;
  }
  return Failure();
}

absl::StatusOr<WebpFile> ReadFile(Bytes file) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(file.data(), file.size(), &features) != VP8_STATUS_OK) return Failure();
  const Contents contents = ReadContents(file);
  WebpFile webp{.width = features.width,
                .height = features.height,
                .orientation = ExifOrientation(contents.exif),
                .frame = {.bitstream = contents.bitstream}};
  if (features.has_animation != 0) {
    if (!contents.is_whole) return Failure();
    ASSIGN_OR_RETURN(webp.frame, ReadAnimationFrame(contents.animation_frame));
  }
  Frame& frame = webp.frame;
  if (frame.bitstream.empty() ||
      WebPGetFeatures(frame.bitstream.data(), frame.bitstream.size(), &features) != VP8_STATUS_OK ||
      features.width > webp.width - frame.left || features.height > webp.height - frame.top) {
    return Failure();
  }
  frame.width = features.width;
  frame.height = features.height;
  frame.is_lossless = features.format == 2;
  frame.has_alpha = features.has_alpha != 0;
  return webp;
}

int RowBytes(const Frame& frame) { return frame.width * (frame.has_alpha ? 4 : 3); }
int64_t PixelBytes(const Frame& frame) { return int64_t{RowBytes(frame)} * frame.height; }

// What libwebp takes for a lossless bitstream, which an alpha channel is, too.
int64_t LosslessBytes(const Frame& frame) {
  constexpr int64_t kMostGroups = 2600;  // of prefix codes: libwebp writes no more
  constexpr int64_t kGroupBytes = 17 << 10;
  constexpr int64_t kMaps = 3;  // a value for each block of pixels, at least 4 x 4 of them
  const int64_t blocks = int64_t{frame.width / 4 + 1} * (frame.height / 4 + 1);
  return 4 * int64_t{frame.width} * (frame.height + 24) + kMaps * 4 * blocks +
         std::min(kMostGroups, blocks) * kGroupBytes;
}

// What libwebp allocates in addition to the pixels it writes.
int64_t LibraryBytes(const Frame& frame) {
  constexpr int64_t kFixedBytes = 256 << 10;
  constexpr int64_t kLossyRowBytes = 128;  // for each pixel of a row
  if (frame.is_lossless) return kFixedBytes + LosslessBytes(frame);
  return kFixedBytes + kLossyRowBytes * frame.width +
         (frame.has_alpha ? int64_t{frame.width} * frame.height + LosslessBytes(frame) : 0);
}

// pixels: [height, width, 3], or 4 with alpha
absl::Status DecodeFrame(const Frame& frame, uint8_t* pixels, StopWatch& watch) {
  // Between pieces, checks whether to continue. Few pieces: libwebp restarts a header that was cut.
  const auto pieces = std::clamp<size_t>(PixelBytes(frame) >> 24, 1, 16);
  const WebpMemoryLimit limit(LibraryBytes(frame));
  const std::unique_ptr<WebPIDecoder, decltype(&WebPIDelete)> decoder(
      WebPINewRGB(frame.has_alpha ? MODE_RGBA : MODE_RGB, pixels, PixelBytes(frame), RowBytes(frame)),
      &WebPIDelete);
  VP8StatusCode status = decoder == nullptr ? VP8_STATUS_OUT_OF_MEMORY : VP8_STATUS_SUSPENDED;
  for (size_t piece = 1; piece <= pieces && status == VP8_STATUS_SUSPENDED; ++piece) {
    if (!watch.GoOn(PixelBytes(frame))) return watch.status();
    status = WebPIUpdate(decoder.get(), frame.bitstream.data(), frame.bitstream.size() * piece / pieces);
  }
  if (limit.reached()) {
    return absl::InvalidArgumentError(
        "image: decoding this WebP needs more memory than an image of its size should");
  }
  return status == VP8_STATUS_OK ? absl::OkStatus() : Failure();
}

}  // namespace

absl::StatusOr<ImageInfo> ReadWebpInfo(Bytes file) {
  ASSIGN_OR_RETURN(const WebpFile webp, ReadFile(file));
  return ImageInfo{
      .width = webp.width,
      .height = webp.height,
      .orientation = webp.orientation,
      .decode_bytes = PixelBytes(webp.frame) + LibraryBytes(webp.frame) + int64_t{6} * webp.width};
}

absl::Status DecodeWebp(Bytes file, RowSink& rows, Stop stop) {
  ASSIGN_OR_RETURN(const WebpFile webp, ReadFile(file));
  const Frame& frame = webp.frame;
  StopWatch watch(stop);
  const auto pixels = std::make_unique_for_overwrite<uint8_t[]>(PixelBytes(frame));
  RETURN_IF_ERROR(DecodeFrame(frame, pixels.get(), watch));
  const uint8_t* in = pixels.get();
  const std::vector<uint8_t> white(static_cast<size_t>(webp.width) * 3, 255);
  std::vector<uint8_t> row = white;
  uint8_t* const out = row.data() + static_cast<ptrdiff_t>(frame.left) * 3;
  for (int y = 0; y < webp.height; ++y) {
    const uint8_t* next = row.data();
    if (y < frame.top || y >= frame.top + frame.height) {
      next = white.data();  // the canvas is transparent
    } else if (frame.has_alpha) {
      LayOnWhite(in, frame.width, out);
    } else if (frame.width < webp.width) {
      std::copy_n(in, static_cast<size_t>(frame.width) * 3, out);
    } else {
      next = in;
    }
    if (next != white.data()) in += RowBytes(frame);
    rows.AddRow(next);
    if (!watch.GoOn(static_cast<int64_t>(row.size()))) return watch.status();
  }
  return absl::OkStatus();
}

}  // namespace varserve::image
