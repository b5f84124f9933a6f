#include "server/image/image_decoder.h"

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "server/base/status_macros.h"
#include "server/image/image_codecs.h"

namespace varserve::image {
namespace {

struct Codec {
  absl::StatusOr<ImageInfo> (*read_info)(Bytes file);
  absl::Status (*decode)(Bytes file, RowSink& rows, Stop stop);
};

Bytes ToBytes(absl::string_view bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

absl::StatusOr<Codec> CodecOf(absl::string_view bytes) {
  if (absl::StartsWith(bytes, "\xFF\xD8\xFF")) return Codec{ReadJpegInfo, DecodeJpeg};
  if (absl::StartsWith(bytes, "\x89PNG\r\n\x1A\n")) return Codec{ReadPngInfo, DecodePng};
  if (bytes.size() >= 12 && absl::StartsWith(bytes, "RIFF") && bytes.substr(8, 4) == "WEBP") {
    return Codec{ReadWebpInfo, DecodeWebp};
  }
  return absl::InvalidArgumentError("image: neither JPEG nor PNG nor WebP, going by its first bytes");
}

// x / 255, rounded; exact for 0 <= x <= 255 * 255.
inline uint8_t DivideBy255(int x) {
  x += 128;
  return static_cast<uint8_t>((x + (x >> 8)) >> 8);
}

}  // namespace

absl::StatusOr<ImageInfo> ReadImageInfo(absl::string_view bytes, const ImageLimits& limits) {
  if (bytes.empty()) return absl::InvalidArgumentError("image: no data; send a JPEG, PNG or WebP file");
  if (bytes.size() > limits.max_bytes) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "image: %d bytes are more than the %d allowed; send it smaller", bytes.size(), limits.max_bytes));
  }
  ASSIGN_OR_RETURN(const Codec codec, CodecOf(bytes));
  ASSIGN_OR_RETURN(const ImageInfo info, codec.read_info(ToBytes(bytes)));
  if (info.width < 1 || info.height < 1) return absl::InvalidArgumentError("image: it has no pixels");
  if (info.width > limits.max_pixels / info.height) {
    return absl::InvalidArgumentError(
        absl::StrFormat("image: %d x %d pixels are more than the %d allowed; send it smaller", info.width,
                        info.height, limits.max_pixels));
  }
  return info;
}

absl::Status DecodeImage(absl::string_view bytes, RowSink& rows, Stop stop) {
  ASSIGN_OR_RETURN(const Codec codec, CodecOf(bytes));
  return codec.decode(ToBytes(bytes), rows, stop);
}

void LayOnWhite(const uint8_t* rgba, int pixels, uint8_t* rgb) {
  for (int i = 0; i < pixels; ++i, rgba += 4, rgb += 3) {
    const int alpha = rgba[3];
    for (int c = 0; c < 3; ++c) rgb[c] = DivideBy255(rgba[c] * alpha + 255 * (255 - alpha));
  }
}

}  // namespace varserve::image
