// Decodes JPEG, PNG and WebP, recognized by their first bytes, into rows of 8 bit RGB. Transparent pixels are
// blended with white; grey, palette and CMYK pictures become RGB; 16 bit channels keep their upper 8 bits.
// That is what Pillow and transformers' do_convert_rgb do (except 16 bit grey, which Pillow clips). Of an
// animation, only the first frame is decoded. Thread-safe.
//
// Rows arrive in stored order; EXIF's orientation is applied later. A baseline JPEG and a PNG that is not
// interlaced are never held as a whole. For the others, the header says how much is held.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/stop.h"
#include "server/image/rgb_image.h"

namespace varserve::image {

struct ImageLimits {
  size_t max_bytes = 20u << 20;     // encoded
  int64_t max_pixels = 64'000'000;  // width times height as encoded; checked before any pixel is decoded
};

// What a file's header says.
struct ImageInfo {
  int width = 0;             // pixels, as stored
  int height = 0;            // pixels, as stored
  int orientation = 1;       // EXIF's, 1 (upright) to 8
  int64_t decode_bytes = 0;  // that decoding takes at its peak
};

// INVALID_ARGUMENT, beginning with "image", for anything that is not a picture or exceeds a limit.
absl::StatusOr<ImageInfo> ReadImageInfo(absl::string_view bytes, const ImageLimits& limits);

// `bytes` are those that ReadImageInfo accepted. INVALID_ARGUMENT, beginning with "image", if the picture
// cannot be decoded completely, even if some rows were; or what `stop` returns.
absl::Status DecodeImage(absl::string_view bytes, RowSink& rows, Stop stop);

}  // namespace varserve::image
