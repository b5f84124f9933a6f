#include "server/preprocess/image_decoder.h"

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "server/preprocess/image_codecs.h"

namespace varserve::preprocess {

absl::StatusOr<RgbImage> DecodeImage(absl::string_view bytes, const ImageLimits& limits) {
  if (bytes.empty()) return absl::InvalidArgumentError("image: no data; send a JPEG, PNG or WebP file");
  if (bytes.size() > limits.max_bytes) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "image: %d bytes are more than the %d allowed; send it smaller", bytes.size(), limits.max_bytes));
  }
  const absl::Span<const uint8_t> data(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (absl::StartsWith(bytes, "\xFF\xD8\xFF")) return DecodeJpeg(data, limits.max_pixels);
  if (absl::StartsWith(bytes, "\x89PNG\r\n\x1A\n")) return DecodePng(data, limits.max_pixels);
  if (bytes.size() >= 12 && absl::StartsWith(bytes, "RIFF") && bytes.substr(8, 4) == "WEBP") {
    return DecodeWebp(data, limits.max_pixels);
  }
  return absl::InvalidArgumentError("image: neither JPEG nor PNG nor WebP, going by its first bytes");
}

absl::Status CheckImageSize(int64_t width, int64_t height, int64_t max_pixels) {
  if (width < 1 || height < 1) return absl::InvalidArgumentError("image: it has no pixels");
  if (width > max_pixels / height) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "image: %d x %d pixels are more than the %d allowed; send it smaller", width, height, max_pixels));
  }
  return absl::OkStatus();
}

}  // namespace varserve::preprocess
