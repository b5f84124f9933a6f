// Decodes JPEG, PNG and WebP, told by their first bytes, into rows of 8 bit RGB. Transparency is laid on
// white, grey, palette and CMYK pictures become RGB, of 16 bits the upper 8 are taken: what Pillow and
// transformers' do_convert_rgb give (except 16 bit grey, which Pillow clips). Of an animation the first frame
// is taken. Thread-safe.
//
// Rows come as they are stored, which EXIF's orientation may turn later. A baseline JPEG and a PNG that is
// not interlaced are never held as a whole; what else has to be is told by the header.
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

// INVALID_ARGUMENT, beginning with "image", for anything that is no picture or is over a limit.
absl::StatusOr<ImageInfo> ReadImageInfo(absl::string_view bytes, const ImageLimits& limits);

// Of bytes that ReadImageInfo took. INVALID_ARGUMENT, beginning with "image", for anything that cannot be
// decoded completely, though rows of it may have come; or what `stop` says.
absl::Status DecodeImage(absl::string_view bytes, RowSink& rows, Stop stop);

}  // namespace varserve::image
