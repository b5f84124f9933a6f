#include "server/image/black_frame.h"

#include <algorithm>
#include <cstddef>

namespace varserve::image {

RgbImage FrameInBlack(RgbImage picture, int width, int height) {
  if (picture.width == width && picture.height == height) return picture;
  RgbImage framed{width, height, std::vector<uint8_t>(static_cast<size_t>(height) * width * 3)};
  const size_t row_size = static_cast<size_t>(picture.width) * 3;
  const size_t top = BlackBefore(picture.height, height);
  const size_t left = BlackBefore(picture.width, width);
  for (size_t y = 0; y < static_cast<size_t>(picture.height); ++y) {
    std::copy_n(&picture.rgb[y * row_size], row_size, &framed.rgb[((top + y) * width + left) * 3]);
  }
  return framed;
}

}  // namespace varserve::image
