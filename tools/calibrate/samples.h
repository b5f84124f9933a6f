// Pictures and questions to calibrate with where none are given: the same ones every time. Sinks need
// pictures with something on a background; what is on them does not matter.
#pragma once

#include <string>
#include <vector>

#include "server/image/rgb_image.h"

namespace varserve::calibrate {

// Circles, boxes and triangles on plain, shaded and grainy backgrounds.
std::vector<image::RgbImage> SamplePictures();

// Long ones: what attention falls on is seen from the tokens after the picture.
std::vector<std::string> SampleQuestions();

}  // namespace varserve::calibrate
