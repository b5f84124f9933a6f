// Antialiased resizing of 8 bit pictures in fixed point, row by row, bit for bit what transformers' image
// processors compute by default (torchvision's resize of uint8 tensors on a CPU). That is Pillow's method
// (two passes, horizontal first, each rounded to 8 bit) with 16 bit weights, so it is within two levels of
// Pillow. Also turns the picture upright, pads and crops it. Never holds the whole picture.
// Thread-compatible.
#pragma once

#include <cstdint>
#include <memory>

#include "server/image/resize_weights.h"
#include "server/image/rgb_image.h"
#include "server/image/row_resizer.h"

namespace varserve::image {

struct ResizePlan {
  int orientation = 1;  // EXIF's, 1 (upright) to 8: how the picture is stored
  ResizeAxis x;         // of the upright picture
  ResizeAxis y;
  ResizeFilter filter = ResizeFilter::kBicubic;
  Rgb padding{};
};

class ImageResizer : public RowSink {
 public:
  static std::unique_ptr<ImageResizer> Create(const ResizePlan& plan);

  // [y.count, x.count, 3], once all rows have arrived.
  virtual RgbImage Finish() = 0;
};

// Whether the stored picture's rows are the upright picture's columns.
inline bool IsTransposed(int orientation) { return orientation >= 5; }

// Bytes that resizing takes at its peak, the result included.
int64_t ResizeBytes(const ResizePlan& plan);

}  // namespace varserve::image
