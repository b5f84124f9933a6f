// Antialiased resizing of 8 bit pictures in fixed point, bit for bit what transformers' image processors
// compute by default (torchvision's resize of uint8 tensors on a CPU). That is Pillow's method (two passes,
// horizontal first, each rounded to 8 bit) with 16 bit weights, so it is within two levels of Pillow.
// Thread-safe.
#pragma once

#include <array>
#include <cstdint>

#include "server/preprocess/resize_weights.h"
#include "server/preprocess/rgb_image.h"

namespace varserve::preprocess {

// A picture on a colored background, without the background taking memory.
struct Canvas {
  const RgbImage* image = nullptr;
  int width = 0;
  int height = 0;
  int left = 0;  // where the picture lies, all of it inside
  int top = 0;
  std::array<uint8_t, 3> color{};
};

struct Rectangle {
  int64_t x = 0;
  int64_t y = 0;
  int width = 0;
  int height = 0;
};

// The part `window` of the canvas resized to width x height; nothing else of it is computed. The window lies
// inside.
RgbImage ResizeWindow(const Canvas& canvas, int64_t width, int64_t height, ResizeFilter filter,
                      const Rectangle& window);

}  // namespace varserve::preprocess
