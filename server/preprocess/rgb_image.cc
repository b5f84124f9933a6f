#include "server/preprocess/rgb_image.h"

#include <algorithm>
#include <utility>

namespace varserve::preprocess {
namespace {

// x / 255, rounded; exact for 0 <= x <= 255 * 255.
inline uint8_t DivideBy255(int x) {
  x += 128;
  return static_cast<uint8_t>((x + (x >> 8)) >> 8);
}

// out: [height, width, 3]; its pixel (x, y) is at in + x * step_x + y * step_y.
void CopyPixels(const uint8_t* in, ptrdiff_t step_x, ptrdiff_t step_y, int width, int height, uint8_t* out) {
  // In tiles: of a transposed picture each pixel of a row lies in another cache line.
  constexpr int kTile = 64;
  for (int top = 0; top < height; top += kTile) {
    for (int left = 0; left < width; left += kTile) {
      const int bottom = std::min(top + kTile, height);
      const int right = std::min(left + kTile, width);
      for (int y = top; y < bottom; ++y) {
        uint8_t* to = out + (static_cast<ptrdiff_t>(y) * width + left) * 3;
        const uint8_t* from = in + left * step_x + y * step_y;
        for (int x = left; x < right; ++x, to += 3, from += step_x) {
          to[0] = from[0];
          to[1] = from[1];
          to[2] = from[2];
        }
      }
    }
  }
}

}  // namespace

RgbImage LayOnWhite(int width, int height, absl::Span<const uint8_t> rgba) {
  RgbImage image{width, height, std::vector<uint8_t>(rgba.size() / 4 * 3)};
  uint8_t* out = image.rgb.data();
  for (size_t i = 0; i < rgba.size(); i += 4, out += 3) {
    const int alpha = rgba[i + 3];
    for (int c = 0; c < 3; ++c) out[c] = DivideBy255(rgba[i + c] * alpha + 255 * (255 - alpha));
  }
  return image;
}

RgbImage Upright(RgbImage image, int orientation) {
  if (orientation < 2 || orientation > 8) return image;
  const bool is_transposed = orientation >= 5;
  const ptrdiff_t column = 3;
  const ptrdiff_t row = column * image.width;
  // Pixel (x, y) of the upright picture comes from the stored one at first + x * step_x + y * step_y.
  const ptrdiff_t last_x = (image.width - 1) * column;
  const ptrdiff_t last_y = (image.height - 1) * row;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const ptrdiff_t along_x = from_right ? -column : column;
  const ptrdiff_t along_y = from_bottom ? -row : row;
  const ptrdiff_t step_x = is_transposed ? along_y : along_x;
  const ptrdiff_t step_y = is_transposed ? along_x : along_y;
  const uint8_t* const first = image.rgb.data() + (from_right ? last_x : 0) + (from_bottom ? last_y : 0);

  RgbImage upright{is_transposed ? image.height : image.width, is_transposed ? image.width : image.height,
                   std::vector<uint8_t>(image.rgb.size())};
  CopyPixels(first, step_x, step_y, upright.width, upright.height, upright.rgb.data());
  return upright;
}

}  // namespace varserve::preprocess
