#include "server/image/normalization_config.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/image/processor_file.h"

namespace varserve::image {
namespace {

using Json = nlohmann::json;

// Means and deviations beyond are mistakes.
constexpr double kMaxChannel = 1e6;
constexpr double kLeastStd = 1e-6;

// One number for all channels, or three.
std::array<double, 3> ReadChannels(JsonFields& fields, const char* key, double low,
                                   std::array<double, 3> fallback) {
  const Json* const value = fields.Find(key);
  if (value == nullptr) return fallback;
  const auto is_number = [](const Json& element) { return element.is_number(); };
  std::array<double, 3> channels{};
  if (value->is_number()) {
    channels.fill(value->get<double>());
  } else if (value->is_array() && value->size() == 3 &&
             std::all_of(value->begin(), value->end(), is_number)) {
    for (int c = 0; c < 3; ++c) channels[c] = value->at(c).get<double>();
  } else {
    fields.FailWithValue(key, "not three numbers");
    return fallback;
  }
  for (const double channel : channels) {
    if (!(channel >= low && channel <= kMaxChannel)) {
      fields.FailWithValue(key, absl::StrCat("not in [", low, ", ", kMaxChannel, "]"));
    }
  }
  return channels;
}

}  // namespace

NormalizationConfig NormalizationConfig::Read(JsonFields& fields, const Channels& usual_mean,
                                              const Channels& usual_std) {
  NormalizationConfig c;
  c.do_rescale = Flag(fields, "do_rescale", true);
  c.rescale_factor = fields.Number("rescale_factor", 1.0 / 255.0, 1e-12, 1e12);
  c.do_normalize = Flag(fields, "do_normalize", true);
  c.mean = ReadChannels(fields, "image_mean", -kMaxChannel, usual_mean);
  c.std = ReadChannels(fields, "image_std", kLeastStd, usual_std);
  return c;
}

Normalization NormalizationConfig::Table() const {
  const float scale = do_rescale ? static_cast<float>(1.0 / rescale_factor) : 1.0F;
  Normalization table;
  for (int c = 0; c < 3; ++c) {
    for (int value = 0; value < 256; ++value) {
      const auto unscaled = static_cast<float>(value);
      if (do_normalize) {
        table[c][value] =
            (unscaled - static_cast<float>(mean[c]) * scale) / (static_cast<float>(std[c]) * scale);
      } else {
        table[c][value] = do_rescale ? unscaled * static_cast<float>(rescale_factor) : unscaled;
      }
    }
  }
  return table;
}

}  // namespace varserve::image
