// Black around a picture that is smaller than its place. Pure functions, thread-safe.
#pragma once

#include "server/image/rgb_image.h"

namespace varserve::image {

// Along one axis: pixels of black before a picture of `size` pixels in a place of `framed`; after it there
// may be one more.
inline int BlackBefore(int size, int framed) { return (framed - size) / 2; }

// width x height pixels, no fewer than the picture's, with the picture in the middle.
RgbImage FrameInBlack(RgbImage picture, int width, int height);

}  // namespace varserve::image
