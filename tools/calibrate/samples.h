// Built-in pictures and questions for calibration, the same every time. Sinks need pictures with something on
// a background; it does not matter what.
#pragma once

#include <string>
#include <vector>

#include "server/image/rgb_image.h"

namespace varserve::calibrate {

// Circles, boxes and triangles on plain, shaded and grainy backgrounds.
std::vector<image::RgbImage> SamplePictures();

// Long questions: attention is measured from the tokens after the picture.
std::vector<std::string> SampleQuestions();

}  // namespace varserve::calibrate
