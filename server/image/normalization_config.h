// How image processors turn 8 bit values into the vision tower's numbers: do_rescale, rescale_factor,
// do_normalize, image_mean and image_std of preprocessor_config.json. Plain data.
#pragma once

#include <array>

#include "server/base/json_fields.h"
#include "server/base/prompt.h"

namespace varserve::image {

struct NormalizationConfig {
  bool do_rescale = true;
  double rescale_factor = 0.0;
  bool do_normalize = true;
  std::array<double, 3> mean{};  // by channel
  std::array<double, 3> std{};

  // With CLIP's mean and standard deviation where there are none. Records errors in `fields`.
  static NormalizationConfig Read(JsonFields& fields);

  // Every 8 bit value's, rounded as transformers' fused rescaling and normalizing does.
  Normalization Table() const;
};

}  // namespace varserve::image
