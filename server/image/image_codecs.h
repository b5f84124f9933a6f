// The decoders of image_decoder.h, one per format, over libjpeg, libpng and libwebp. None aborts, prints or
// lets a library's longjmp pass a destructor. Errors are INVALID_ARGUMENT and begin with "image", or are what
// `stop` says. Thread-safe.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/base/stop.h"
#include "server/image/image_decoder.h"
#include "server/image/rgb_image.h"

namespace varserve::image {

using Bytes = absl::Span<const uint8_t>;

// Reads the header. Does not check the size.
absl::StatusOr<ImageInfo> ReadJpegInfo(Bytes file);
absl::StatusOr<ImageInfo> ReadPngInfo(Bytes file);
absl::StatusOr<ImageInfo> ReadWebpInfo(Bytes file);

// Passes the picture's rows to `rows` in the order in which they are stored.
absl::Status DecodeJpeg(Bytes file, RowSink& rows, Stop stop);
absl::Status DecodePng(Bytes file, RowSink& rows, Stop stop);
absl::Status DecodeWebp(Bytes file, RowSink& rows, Stop stop);

// Lays pixels on white, in place of their transparency. rgba: [pixels, 4], alpha not multiplied in; rgb:
// [pixels, 3].
void LayOnWhite(const uint8_t* rgba, int pixels, uint8_t* rgb);

}  // namespace varserve::image
