// A decoded picture, 8 bits a channel, and what is done to it on the way from a file. Plain data and free
// functions. Thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace varserve::preprocess {

struct RgbImage {
  int width = 0;             // pixels
  int height = 0;            // pixels
  std::vector<uint8_t> rgb;  // [height, width, 3]
};

// Lays the picture rgba ([height, width, 4], alpha not multiplied in) on white, in place of its transparency.
RgbImage LayOnWhite(int width, int height, absl::Span<const uint8_t> rgba);

// The picture turned upright: `orientation` is EXIF's, 1 to 8, and says how it is stored.
RgbImage Upright(RgbImage image, int orientation);

}  // namespace varserve::preprocess
