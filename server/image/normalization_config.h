// How image processors turn 8 bit values into the vision tower's numbers: do_rescale, rescale_factor,
// do_normalize, image_mean and image_std of preprocessor_config.json. Plain data.
#pragma once

#include <array>

#include "server/base/json_fields.h"
#include "server/base/prompt.h"

namespace varserve::image {

struct NormalizationConfig {
  using Channels = std::array<double, 3>;
  static constexpr Channels kClipMean = {0.48145466, 0.4578275, 0.40821073};
  static constexpr Channels kClipStd = {0.26862954, 0.26130258, 0.27577711};

  bool do_rescale = true;
  double rescale_factor = 0.0;
  bool do_normalize = true;
  Channels mean{};  // by channel
  Channels std{};

  // With CLIP's mean and standard deviation where there are none. Records errors in `fields`.
  static NormalizationConfig Read(JsonFields& fields) { return Read(fields, kClipMean, kClipStd); }
  static NormalizationConfig Read(JsonFields& fields, const Channels& usual_mean, const Channels& usual_std);

  // Every 8 bit value's, rounded as transformers' fused rescaling and normalizing does.
  Normalization Table() const;
};

}  // namespace varserve::image
