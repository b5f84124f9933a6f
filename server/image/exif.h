// Reads the orientation, the only part of EXIF a model needs. Thread-safe.
#pragma once

#include <cstdint>

#include "absl/types/span.h"

namespace varserve::image {

// EXIF's orientation, 1 (upright) to 8, of a TIFF block with or without "Exif\0\0" before it. 1 if the block
// has none or makes no sense.
int ExifOrientation(absl::Span<const uint8_t> exif);

}  // namespace varserve::image
