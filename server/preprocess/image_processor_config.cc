#include "server/preprocess/image_processor_config.h"

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"
#include "server/base/status_macros.h"

namespace varserve::preprocess {
namespace {

using Json = nlohmann::json;

// Beyond this no vision tower goes; it keeps sizes far from overflow.
constexpr int kMaxEdge = 1 << 14;
// transformers' values of `resample`, from Pillow.
constexpr int kPillowBilinear = 2;
constexpr int kPillowBicubic = 3;

absl::Status Wrong(absl::string_view key, absl::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat(key, ": ", what));
}

// The value of `key`; null, like a missing one, stands for the default.
const Json* Find(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? nullptr : &*found;
}

absl::StatusOr<bool> ReadBool(const Json& json, const char* key, bool fallback) {
  const Json* const value = Find(json, key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) return Wrong(key, "must be true or false");
  return value->get<bool>();
}

absl::StatusOr<int> ReadEdge(const Json& value, const char* key) {
  if (!value.is_number_integer() || value < 1 || value > kMaxEdge) {
    return Wrong(key, absl::StrCat("must be an integer from 1 to ", kMaxEdge));
  }
  return value.get<int>();
}

// {"height": .., "width": ..}
absl::Status ReadHeightAndWidth(const Json& value, const char* key, int& height, int& width) {
  if (!value.is_object() || value.size() != 2 || !value.contains("height") || !value.contains("width")) {
    return Wrong(key, absl::StrCat("not known here: ", value.dump()));
  }
  ASSIGN_OR_RETURN(height, ReadEdge(value["height"], key));
  ASSIGN_OR_RETURN(width, ReadEdge(value["width"], key));
  return absl::OkStatus();
}

absl::Status ReadSize(const Json& json, ImageProcessorConfig& config) {
  constexpr char kKey[] = "size";
  const Json* const value = Find(json, kKey);
  if (value == nullptr) {
    config.shortest_edge = 224;
  } else if (value->is_number()) {
    ASSIGN_OR_RETURN(config.shortest_edge, ReadEdge(*value, kKey));
  } else if (value->is_object() && value->size() == 1 && value->contains("shortest_edge")) {
    ASSIGN_OR_RETURN(config.shortest_edge, ReadEdge(value->at("shortest_edge"), kKey));
  } else {
    RETURN_IF_ERROR(ReadHeightAndWidth(*value, kKey, config.resize_height, config.resize_width));
  }
  return absl::OkStatus();
}

absl::Status ReadCropSize(const Json& json, ImageProcessorConfig& config) {
  constexpr char kKey[] = "crop_size";
  const Json* const value = Find(json, kKey);
  if (value == nullptr) {
    config.crop_height = config.crop_width = 224;
  } else if (value->is_number()) {
    ASSIGN_OR_RETURN(config.crop_height, ReadEdge(*value, kKey));
    config.crop_width = config.crop_height;
  } else {
    RETURN_IF_ERROR(ReadHeightAndWidth(*value, kKey, config.crop_height, config.crop_width));
  }
  return absl::OkStatus();
}

absl::StatusOr<ResizeFilter> ReadFilter(const Json& json) {
  const Json* const value = Find(json, "resample");
  if (value == nullptr || *value == kPillowBicubic) return ResizeFilter::kBicubic;
  if (*value == kPillowBilinear) return ResizeFilter::kBilinear;
  return Wrong("resample",
               absl::StrCat("only 2 (bilinear) and 3 (bicubic) are known here, not ", value->dump()));
}

// One number for all channels, or three.
absl::StatusOr<std::array<double, 3>> ReadChannels(const Json& json, const char* key,
                                                   std::array<double, 3> fallback) {
  const Json* const value = Find(json, key);
  if (value == nullptr) return fallback;
  std::array<double, 3> channels{};
  if (value->is_number()) {
    channels.fill(value->get<double>());
    return channels;
  }
  const auto is_number = [](const Json& element) { return element.is_number(); };
  if (!value->is_array() || value->size() != 3 || !std::all_of(value->begin(), value->end(), is_number)) {
    return Wrong(key, "must be three numbers");
  }
  for (int c = 0; c < 3; ++c) channels[c] = value->at(c).get<double>();
  return channels;
}

// The kind of processor, without the name of its implementation ("...Fast" in older versions).
absl::StatusOr<std::string> ReadType(const Json& json) {
  const Json* const value = Find(json, "image_processor_type");
  const std::string type = value != nullptr && value->is_string() ? value->get<std::string>() : "";
  const std::string kind(absl::StripSuffix(type, "Fast"));
  if (kind == "CLIPImageProcessor" || kind == "LlavaImageProcessor" || kind == "BitImageProcessor")
    return kind;
  return Wrong(
      "image_processor_type",
      absl::StrCat("must be CLIPImageProcessor, LlavaImageProcessor or BitImageProcessor, not '", type, "'"));
}

}  // namespace

float ImageProcessorConfig::Normalize(int c, int value) const {
  const float unscaled = static_cast<float>(value);
  if (!do_normalize) return do_rescale ? unscaled * static_cast<float>(rescale_factor) : unscaled;
  const float scale = do_rescale ? static_cast<float>(1.0 / rescale_factor) : 1.0F;
  return (unscaled - static_cast<float>(mean[c]) * scale) / (static_cast<float>(std[c]) * scale);
}

absl::StatusOr<ImageProcessorConfig> ParseImageProcessorConfig(const nlohmann::json& json) {
  if (!json.is_object()) return absl::FailedPreconditionError("image processor: not a JSON object");
  ImageProcessorConfig config;
  ASSIGN_OR_RETURN(const std::string type, ReadType(json));
  ASSIGN_OR_RETURN(const bool do_pad, ReadBool(json, "do_pad", false));
  // Of the other processors do_pad fills up a batch whose pictures differ in size, which here they never do.
  config.pad_to_square = do_pad && type == "LlavaImageProcessor";
  if (do_pad && Find(json, "pad_size") != nullptr) return Wrong("pad_size", "not known here");

  ASSIGN_OR_RETURN(config.do_resize, ReadBool(json, "do_resize", true));
  RETURN_IF_ERROR(ReadSize(json, config));
  ASSIGN_OR_RETURN(config.filter, ReadFilter(json));
  ASSIGN_OR_RETURN(config.do_center_crop, ReadBool(json, "do_center_crop", true));
  RETURN_IF_ERROR(ReadCropSize(json, config));

  ASSIGN_OR_RETURN(config.do_rescale, ReadBool(json, "do_rescale", true));
  const Json* const rescale_factor = Find(json, "rescale_factor");
  if (rescale_factor != nullptr && (!rescale_factor->is_number() || *rescale_factor <= 0.0)) {
    return Wrong("rescale_factor", "must be a positive number");
  }
  config.rescale_factor = rescale_factor == nullptr ? 1.0 / 255.0 : rescale_factor->get<double>();
  ASSIGN_OR_RETURN(config.do_normalize, ReadBool(json, "do_normalize", true));
  ASSIGN_OR_RETURN(config.mean, ReadChannels(json, "image_mean", {0.48145466, 0.4578275, 0.40821073}));
  ASSIGN_OR_RETURN(config.std, ReadChannels(json, "image_std", {0.26862954, 0.26130258, 0.27577711}));
  if (*std::min_element(config.std.begin(), config.std.end()) <= 0.0)
    return Wrong("image_std", "must be positive");
  return config;
}

}  // namespace varserve::preprocess
