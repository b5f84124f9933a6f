// transformers' Qwen2VLImageProcessor, also of Qwen2.5-VL and Qwen3-VL: pictures keep their shape; each side
// becomes a multiple of a visual token's, and the number of pixels one in a range (smart_resize).
// Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"
#include "server/image/image_processor.h"
#include "server/image/normalization_config.h"

namespace varserve::image {

// As preprocessor_config.json has it, with transformers' defaults for what is missing.
struct Qwen2VlImageProcessorConfig {
  int64_t min_pixels = 0;  // of a processed image: size.shortest_edge, or min_pixels
  int64_t max_pixels = 0;  // size.longest_edge, or max_pixels
  int patch_size = 0;      // pixels
  int temporal_patch_size = 0;
  int merge_size = 0;  // patches of a visual token, down and across
  ResizeFilter filter = ResizeFilter::kBicubic;
  NormalizationConfig normalization;

  // FAILED_PRECONDITION or NOT_FOUND naming file and field.
  static absl::StatusOr<Qwen2VlImageProcessorConfig> Load(const std::filesystem::path& model_dir);
  // `config` as preprocessor_config.json has it.
  static absl::StatusOr<Qwen2VlImageProcessorConfig> Parse(const nlohmann::json& config);

  int token_size() const { return patch_size * merge_size; }  // pixels
};

class Qwen2VlImageProcessor : public ImageProcessor {
 public:
  // A visual token of an image is `image_token` in the prompt. Images have at most max_tokens of them, 0: as
  // many as `config` allows.
  Qwen2VlImageProcessor(const Qwen2VlImageProcessorConfig& config, int32_t image_token, int max_tokens);

  using ImageProcessor::Process;
  absl::StatusOr<Plan> MakePlan(int width, int height, int orientation) const override;
  absl::StatusOr<ProcessedImage> Process(const Plan& plan,
                                         absl::FunctionRef<absl::Status(RowSink& rows)> read) const override;
  ImageShape smallest() const override;
  ImageShape largest() const override;

 private:
  // Visual tokens down and across.
  struct Grid {
    int rows = 0;
    int cols = 0;
  };
  Grid GridOf(int width, int height) const;
  ImageShape ShapeOf(const Grid& grid) const;

  Qwen2VlImageProcessorConfig config_;
  const int32_t image_token_;
  const std::shared_ptr<const Normalization> normalization_;
};

}  // namespace varserve::image
