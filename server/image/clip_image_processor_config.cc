#include "server/image/clip_image_processor_config.h"

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/json_fields.h"
#include "server/base/status_macros.h"
#include "server/image/processor_file.h"

namespace varserve::image {
namespace {

using Json = nlohmann::json;

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
  const std::string type = ReadImageProcessorType(
      fields, "LlavaImageProcessor", {"CLIPImageProcessor", "LlavaImageProcessor", "BitImageProcessor"});
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

  config.normalization = NormalizationConfig::Read(fields);
  if (!fields.status().ok()) return fields.status();
  return config;
}

}  // namespace

absl::StatusOr<ClipImageProcessorConfig> ClipImageProcessorConfig::Load(
    const std::filesystem::path& model_dir) {
  ASSIGN_OR_RETURN(const ProcessorFile file, ProcessorFile::Load(model_dir));
  JsonFields fields = file.fields();
  return ReadConfig(fields);
}

absl::StatusOr<ClipImageProcessorConfig> ClipImageProcessorConfig::Parse(const Json& config) {
  JsonFields fields(config, ProcessorFile::kPreprocessorFile);
  return ReadConfig(fields);
}

}  // namespace varserve::image
