// image_grid_pinpoints, which config.json and preprocessor_config.json of LLaVA-NeXT and LLaVA-OneVision both
// have: the resolutions that pictures may be cut into tiles in. Plain data. Pure functions, thread-safe.
#pragma once

#include <vector>

#include "server/base/json_fields.h"

namespace varserve::image {

struct GridPinpoint {
  int height = 0;  // pixels
  int width = 0;

  bool operator==(const GridPinpoint&) const = default;
};

// Records errors in `fields`. Not empty.
std::vector<GridPinpoint> ReadGridPinpoints(JsonFields& fields, const std::vector<GridPinpoint>& fallback);

// What transformers takes where a file of LLaVA-NeXT, or of LLaVA-OneVision, has none.
const std::vector<GridPinpoint>& LlavaNextPinpoints();
const std::vector<GridPinpoint>& LlavaOnevisionPinpoints();

}  // namespace varserve::image
