// The decoders behind DecodeImage, one a format, over libjpeg, libpng and libwebp. None aborts, prints or
// lets a library's longjmp pass a destructor. Errors are INVALID_ARGUMENT and begin with "image".
// Thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/preprocess/rgb_image.h"

namespace varserve::preprocess {

absl::StatusOr<RgbImage> DecodeJpeg(absl::Span<const uint8_t> bytes, int64_t max_pixels);
absl::StatusOr<RgbImage> DecodePng(absl::Span<const uint8_t> bytes, int64_t max_pixels);
absl::StatusOr<RgbImage> DecodeWebp(absl::Span<const uint8_t> bytes, int64_t max_pixels);

// The limit on pixels, for the size a file's header tells.
absl::Status CheckImageSize(int64_t width, int64_t height, int64_t max_pixels);

}  // namespace varserve::preprocess
