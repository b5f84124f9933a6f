#include "server/image/clip_image_processor_config.h"

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"
#include "server/base/json_fields.h"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"

namespace varserve::image {
namespace {

using Json = nlohmann::json;

constexpr char kProcessorFile[] = "processor_config.json";
constexpr char kNested[] = "image_processor";
constexpr char kPreprocessorFile[] = "preprocessor_config.json";

// Beyond this no vision tower goes; it keeps sizes far from overflow.
constexpr int kMaxEdge = 1 << 14;
// Means and deviations beyond are mistakes.
constexpr double kMaxChannel = 1e6;
constexpr double kLeastStd = 1e-6;
// transformers' values of `resample`, from Pillow.
constexpr int kPillowBilinear = 2;
constexpr int kPillowBicubic = 3;

// Null is false, whatever the default.
bool Flag(JsonFields& fields, const char* key, bool fallback) {
  return !fields.IsNull(key) && fields.Bool(key, fallback);
}

int ReadEdge(JsonFields& fields, const char* key) {
  return static_cast<int>(fields.Int(key, 1, 1, kMaxEdge));
}

// {"height": .., "width": ..} or [height, width].
void ReadHeightAndWidth(JsonFields& fields, const char* key, int& height, int& width) {
  const Json& value = *fields.Find(key);
  if (value.is_array() && value.size() == 2) {
    const std::vector<int64_t> edges = fields.Ints(key, {1, 1});
    for (const int64_t edge : edges) {
      if (edge < 1 || edge > kMaxEdge) fields.FailWithValue(key, absl::StrCat("not in [1, ", kMaxEdge, "]"));
    }
    height = static_cast<int>(edges[0]);
    width = static_cast<int>(edges[1]);
    return;
  }
  if (!value.is_object() || value.size() != 2 || !value.contains("height") || !value.contains("width")) {
    fields.FailWithValue(key, "which is not supported; supported are height and width");
    return;
  }
  JsonFields edges = fields.Object(key);
  height = ReadEdge(edges, "height");
  width = ReadEdge(edges, "width");
}

void ReadSize(JsonFields& fields, ClipImageProcessorConfig& config) {
  constexpr char kKey[] = "size";
  const Json* const value = fields.Find(kKey);
  const bool square = Flag(fields, "default_to_square", false);
  if (value == nullptr) {
    config.shortest_edge = 224;
  } else if (value->is_number() && square) {
    config.resize_height = config.resize_width = ReadEdge(fields, kKey);
  } else if (value->is_number()) {
    config.shortest_edge = ReadEdge(fields, kKey);
  } else if (value->is_object() && value->size() == 1 && value->contains("shortest_edge")) {
    JsonFields size = fields.Object(kKey);
    config.shortest_edge = ReadEdge(size, "shortest_edge");
  } else {
    ReadHeightAndWidth(fields, kKey, config.resize_height, config.resize_width);
  }
}

void ReadCropSize(JsonFields& fields, ClipImageProcessorConfig& config) {
  constexpr char kKey[] = "crop_size";
  const Json* const value = fields.Find(kKey);
  if (value == nullptr) {
    config.crop_height = config.crop_width = 224;
  } else if (value->is_number()) {
    config.crop_height = config.crop_width = ReadEdge(fields, kKey);
  } else {
    ReadHeightAndWidth(fields, kKey, config.crop_height, config.crop_width);
  }
}

ResizeFilter ReadFilter(JsonFields& fields) {
  constexpr char kKey[] = "resample";
  const int64_t filter = fields.Int(kKey, kPillowBicubic, INT64_MIN, INT64_MAX);
  if (filter == kPillowBilinear) return ResizeFilter::kBilinear;
  if (filter != kPillowBicubic) {
    fields.FailWithValue(kKey, "which is not supported; supported: 2 (bilinear), 3 (bicubic)");
  }
  return ResizeFilter::kBicubic;
}

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

// The kind of processor, without the name of its implementation ("...Fast" in older versions, "...Pil" in
// newer ones). Where there is none, LLaVA's own; older files name a feature extractor.
std::string ReadType(JsonFields& fields) {
  constexpr char kKey[] = "image_processor_type";
  const bool old = !fields.Has(kKey) && fields.Has("feature_extractor_type");
  const char* const key = old ? "feature_extractor_type" : kKey;
  std::string type = fields.Has(key) ? fields.String(key, "") : "LlavaImageProcessor";
  if (old) type = absl::StrCat(absl::StripSuffix(type, "FeatureExtractor"), "ImageProcessor");
  type = std::string(absl::StripSuffix(absl::StripSuffix(type, "Fast"), "Pil"));
  if (type != "CLIPImageProcessor" && type != "LlavaImageProcessor" && type != "BitImageProcessor") {
    fields.FailWithValue(
        key, "which is not supported; supported: CLIPImageProcessor, LlavaImageProcessor, BitImageProcessor");
  }
  return type;
}

void CheckThatPicturesComeOutInOneSize(JsonFields& fields, const ClipImageProcessorConfig& config) {
  const bool fixed = config.do_center_crop ||
                     (config.do_resize && (!config.shortest_edge.has_value() || config.pad_to_square));
  if (fixed) return;
  fields.Fail("do_center_crop", absl::StrCat("is false, and ", config.do_resize ? "size" : "do_resize",
                                             " lets pictures come out in different sizes; the vision tower "
                                             "takes one size only"));
}

absl::StatusOr<ClipImageProcessorConfig> ReadConfig(JsonFields& fields) {
  ClipImageProcessorConfig config;
  const std::string type = ReadType(fields);
  const bool do_pad = Flag(fields, "do_pad", false);
  // For the other processors, do_pad fills a batch of pictures that differ in size, which they never do here.
  config.pad_to_square = do_pad && type == "LlavaImageProcessor";
  if (do_pad) fields.Neutral("pad_size", nullptr);

  config.do_resize = Flag(fields, "do_resize", true);
  ReadSize(fields, config);
  config.filter = ReadFilter(fields);
  config.do_center_crop = Flag(fields, "do_center_crop", true);
  ReadCropSize(fields, config);
  CheckThatPicturesComeOutInOneSize(fields, config);

  config.do_rescale = Flag(fields, "do_rescale", true);
  config.rescale_factor = fields.Number("rescale_factor", 1.0 / 255.0, 1e-12, 1e12);
  config.do_normalize = Flag(fields, "do_normalize", true);
  config.mean = ReadChannels(fields, "image_mean", -kMaxChannel, {0.48145466, 0.4578275, 0.40821073});
  config.std = ReadChannels(fields, "image_std", kLeastStd, {0.26862954, 0.26130258, 0.27577711});
  if (!fields.status().ok()) return fields.status();
  return config;
}

}  // namespace

absl::StatusOr<ClipImageProcessorConfig> ClipImageProcessorConfig::Load(
    const std::filesystem::path& model_dir) {
  for (const char* file : {kProcessorFile, kPreprocessorFile}) {
    const absl::StatusOr<Json> json = ReadModelJson(model_dir, file);
    if (absl::IsNotFound(json.status())) continue;
    if (!json.ok()) return json.status();
    JsonFields fields(*json, file);
    if (file == kPreprocessorFile) return ReadConfig(fields);
    if (!fields.Has(kNested)) continue;
    JsonFields nested = fields.Object(kNested);
    return ReadConfig(nested);
  }
  return absl::NotFoundError(absl::StrCat("image processor: neither ", kPreprocessorFile, " nor an ", kNested,
                                          " in ", kProcessorFile, " found in the model directory ",
                                          model_dir.string()));
}

absl::StatusOr<ClipImageProcessorConfig> ClipImageProcessorConfig::Parse(const Json& config) {
  JsonFields fields(config, kPreprocessorFile);
  return ReadConfig(fields);
}

float ClipImageProcessorConfig::Normalize(int c, int value) const {
  const float unscaled = static_cast<float>(value);
  if (!do_normalize) return do_rescale ? unscaled * static_cast<float>(rescale_factor) : unscaled;
  const float scale = do_rescale ? static_cast<float>(1.0 / rescale_factor) : 1.0F;
  return (unscaled - static_cast<float>(mean[c]) * scale) / (static_cast<float>(std[c]) * scale);
}

}  // namespace varserve::image
