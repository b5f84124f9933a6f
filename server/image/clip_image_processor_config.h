// The settings of a Hugging Face image processor, as preprocessor_config.json has them, with transformers'
// defaults for what is missing. Thread-safe.
#pragma once

#include <filesystem>
#include <optional>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"
#include "server/image/normalization_config.h"
#include "server/image/resize_weights.h"

namespace varserve::image {

struct ClipImageProcessorConfig {
  bool pad_to_square = false;  // with the mean color, before anything else
  bool do_resize = true;
  std::optional<int> shortest_edge;  // else resize_height x resize_width
  int resize_height = 0;
  int resize_width = 0;
  ResizeFilter filter = ResizeFilter::kBicubic;
  bool do_center_crop = true;
  int crop_height = 0;
  int crop_width = 0;
  NormalizationConfig normalization;

  // Reads processor_config.json (its image_processor), else preprocessor_config.json. FAILED_PRECONDITION
  // naming file and field for whatever is wrong or would change pixels in a way that is not supported, and
  // where pictures would come out in different sizes.
  static absl::StatusOr<ClipImageProcessorConfig> Load(const std::filesystem::path& model_dir);
  // `config` as preprocessor_config.json has it.
  static absl::StatusOr<ClipImageProcessorConfig> Parse(const nlohmann::json& config);

  // Pixels of every processed image.
  int height() const { return do_center_crop ? crop_height : shortest_edge.value_or(resize_height); }
  int width() const { return do_center_crop ? crop_width : shortest_edge.value_or(resize_width); }
};

}  // namespace varserve::image
