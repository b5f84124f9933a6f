// The slow way from a file to the vision tower's input: whole pictures in memory, one thing done after the
// other. What the streaming way of server/image has to equal, bit for bit. For files without faults.
#pragma once

#include <string>

#include "server/image/image_resize.h"
#include "server/image/rgb_image.h"

namespace varserve::testing {

// As stored. Told by the first bytes, as JPEG, PNG or WebP.
image::RgbImage DecodeWhole(const std::string& file);

// The picture turned upright: `orientation` is EXIF's, 1 to 8, and says how it is stored.
image::RgbImage TurnUpright(const image::RgbImage& stored, int orientation);

// Puts the upright picture on a canvas, resizes it, and cuts, as `plan` says.
image::RgbImage ResizeWhole(const image::RgbImage& upright, const image::ResizePlan& plan);

}  // namespace varserve::testing
