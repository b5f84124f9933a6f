// A picture with 8 bits per channel, and its rows as a decoder delivers them. Plain data. Thread-safe.
#pragma once

#include <cstdint>
#include <vector>

namespace varserve::image {

struct RgbImage {
  int width = 0;             // pixels
  int height = 0;            // pixels
  std::vector<uint8_t> rgb;  // [height, width, 3]
};

// Takes a picture row by row.
class RowSink {
 public:
  virtual ~RowSink() = default;
  // The next row from the top, [width, 3]. Called once for each row.
  virtual void AddRow(const uint8_t* rgb) = 0;
};

}  // namespace varserve::image
