// Antialiased resizing of 8 bit pictures in fixed point, bit for bit what transformers' image processors
// compute by default (torchvision's resize of uint8 tensors on a CPU). That is Pillow's method (two passes,
// horizontal first, each rounded to 8 bit) with 16 bit weights, so it is within two levels of Pillow.
// Thread-safe.
#pragma once

#include <cstdint>

#include "server/preprocess/rgb_image.h"

namespace varserve::preprocess {

enum class ResizeFilter : uint8_t { kBilinear, kBicubic };

struct Rectangle {
  int64_t x = 0;
  int64_t y = 0;
  int width = 0;
  int height = 0;
};

// The part `window` of `image` resized to width x height; nothing else of it is computed. The window lies
// inside.
RgbImage ResizeWindow(const RgbImage& image, int64_t width, int64_t height, ResizeFilter filter,
                      const Rectangle& window);

}  // namespace varserve::preprocess
