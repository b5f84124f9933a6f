// Decodes JPEG, PNG and WebP, told by their first bytes, into upright 8 bit RGB. EXIF's orientation is
// applied, transparency is laid on white, grey, palette and CMYK pictures become RGB, of 16 bits the upper 8
// are taken: what Pillow and transformers' do_convert_rgb give (except 16 bit grey, which Pillow clips). Of
// an animation the first frame is taken. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/preprocess/rgb_image.h"

namespace varserve::preprocess {

struct ImageLimits {
  size_t max_bytes = 20u << 20;     // encoded
  int64_t max_pixels = 64'000'000;  // width times height as encoded; checked before any pixel is decoded
};

// INVALID_ARGUMENT, beginning with "image", for anything that cannot be decoded completely or is over a
// limit.
absl::StatusOr<RgbImage> DecodeImage(absl::string_view bytes, const ImageLimits& limits);

}  // namespace varserve::preprocess
