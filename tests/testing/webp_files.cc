#include <webp/encode.h>

#include <utility>

#include "tests/testing/picture_bytes.h"
#include "tests/testing/picture_files.h"

namespace varserve::testing {
namespace {

struct WebpKind {
  bool lossless = false;
  bool has_alpha = false;
  bool animated = false;  // its first frame smaller than the canvas, where there is room
};

std::string LittleEndian(size_t value, int bytes) {
  std::string result;
  for (int i = 0; i < bytes; ++i) result.push_back(static_cast<char>(value >> (8 * i)));
  return result;
}

std::string Chunk(const std::string& name, const std::string& data) {
  return name + LittleEndian(data.size(), 4) + data + std::string(data.size() % 2, '\0');
}

std::string File(const std::string& chunks) {
  return "RIFF" + LittleEndian(chunks.size() + 4, 4) + "WEBP" + chunks;
}

// The chunks of a picture's bitstream: ALPH and VP8, or VP8L.
std::string Bitstream(int width, int height, const WebpKind& kind) {
  std::string pixels = Noise(static_cast<size_t>(width) * height * 4, 4);
  if (!kind.has_alpha) {
    for (size_t i = 3; i < pixels.size(); i += 4) pixels[i] = '\xFF';
  }
  WebPConfig config;
  WebPConfigInit(&config);
  config.lossless = kind.lossless ? 1 : 0;
  config.quality = 50;
  config.method = 1;
  WebPPicture picture;
  WebPPictureInit(&picture);
  picture.use_argb = 1;
  picture.width = width;
  picture.height = height;
  WebPPictureImportRGBA(&picture, reinterpret_cast<const uint8_t*>(pixels.data()), width * 4);
  WebPMemoryWriter writer;
  WebPMemoryWriterInit(&writer);
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = &writer;
  WebPEncode(&config, &picture);
  std::string file(reinterpret_cast<const char*>(writer.mem), writer.size);
  WebPPictureFree(&picture);
  WebPMemoryWriterClear(&writer);
  constexpr size_t kExtendedHeader = 18;
  return file.substr(file.compare(12, 4, "VP8X") == 0 ? 12 + kExtendedHeader : 12);
}

std::string MakeWebp(int width, int height, int orientation, const WebpKind& kind) {
  constexpr int kAnimation = 2;
  constexpr int kExif = 8;
  constexpr int kAlpha = 16;
  const int flags = kExif | (kind.has_alpha ? kAlpha : 0) | (kind.animated ? kAnimation : 0);
  std::string chunks =
      Chunk("VP8X", LittleEndian(flags, 4) + LittleEndian(width - 1, 3) + LittleEndian(height - 1, 3));
  if (kind.animated) {
    const int left = width > 8 ? 4 : 0;
    const int top = height > 8 ? 2 : 0;
    const int frame_width = width - 2 * left;
    const int frame_height = height - 2 * top;
    const std::string head = LittleEndian(left / 2, 3) + LittleEndian(top / 2, 3) +
                             LittleEndian(frame_width - 1, 3) + LittleEndian(frame_height - 1, 3) +
                             LittleEndian(100, 3) + LittleEndian(0, 1);
    const std::string frame = Chunk("ANMF", head + Bitstream(frame_width, frame_height, kind));
    chunks += Chunk("ANIM", LittleEndian(0, 6)) + frame + frame;
  } else {
    chunks += Bitstream(width, height, kind);
  }
  return File(chunks + Chunk("EXIF", Orientation(orientation)));
}

PictureKind Kind(const std::string& name, const WebpKind& kind) {
  return {name, [kind](int width, int height, int orientation) {
            return MakeWebp(width, height, orientation, kind);
          }};
}

// The least significant bit first.
class BitWriter {
 public:
  void Write(uint32_t value, int bits) {
    for (int i = 0; i < bits; ++i) {
      if (used_++ % 8 == 0) bytes_.push_back('\0');
      bytes_.back() = static_cast<char>(bytes_.back() | ((value >> i & 1) << ((used_ - 1) % 8)));
    }
  }
  std::string bytes() const { return bytes_; }

 private:
  std::string bytes_;
  size_t used_ = 0;
};

}  // namespace

std::vector<PictureKind> WebpKinds() {
  return {
      Kind("webp_lossy", {}),
      Kind("webp_lossy_alpha", {.has_alpha = true}),
      Kind("webp_lossless", {.lossless = true}),
      Kind("webp_lossless_alpha", {.lossless = true, .has_alpha = true}),
      Kind("webp_animated", {.animated = true}),
      Kind("webp_animated_alpha", {.has_alpha = true, .animated = true}),
      Kind("webp_animated_lossless", {.lossless = true, .animated = true}),
      Kind("webp_animated_lossless_alpha", {.lossless = true, .has_alpha = true, .animated = true}),
  };
}

std::string WebpOfTables() {
  constexpr int kEdge = 1024;
  constexpr int kGroups = kEdge / 4 * kEdge / 4;  // one for each block of 4 x 4 pixels
  BitWriter bits;
  const auto write_code_of_one_symbol = [&] { bits.Write(1, 4); };
  const auto write_code_of_256_symbols = [&] {
    bits.Write(0, 1);
    bits.Write(12 - 4, 4);  // lengths of the codes for lengths, of which only length 8 has one
    for (int i = 0; i < 12; ++i) bits.Write(i == 11 ? 1 : 0, 3);
    bits.Write(1, 1);
    bits.Write(3, 3);
    bits.Write(256 - 2, 8);  // symbols
  };
  bits.Write(0x2F, 8);
  bits.Write(kEdge - 1, 14);
  bits.Write(kEdge - 1, 14);
  bits.Write(0, 1 + 3);  // no alpha, version 0
  bits.Write(0, 1 + 1);  // no transform, no color cache
  bits.Write(1, 1);      // a picture says which block has which group of codes
  bits.Write(0, 3);      // blocks of 4 x 4
  bits.Write(0, 1);      // no color cache for that picture; its codes:
  write_code_of_256_symbols();
  write_code_of_256_symbols();
  for (int i = 0; i < 3; ++i) write_code_of_one_symbol();
  for (int group = 0; group < kGroups; ++group) bits.Write(static_cast<uint32_t>(group), 16);
  for (int code = 0; code < 5 * kGroups; ++code) write_code_of_one_symbol();
  bits.Write(0, 64);
  return File(Chunk("VP8L", bits.bytes()));
}

}  // namespace varserve::testing
