// transformers' GotOcr2ImageProcessor, as InternVL's processor uses it: a picture is resized to the tiles
// whose arrangement comes closest to its shape; if they are several, the whole picture becomes one more tile,
// the thumbnail. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"
#include "server/image/image_processor.h"
#include "server/image/normalization_config.h"
#include "server/image/tiles.h"

namespace varserve::image {

// As preprocessor_config.json has it, with transformers' defaults for what is missing. Its crop_to_patches
// has no effect: InternVL's processor always asks for tiles.
struct GotOcr2ImageProcessorConfig {
  int tile_height = 0;  // pixels
  int tile_width = 0;
  int min_tiles = 0;  // min_patches; the thumbnail not counted
  int max_tiles = 0;
  ResizeFilter filter = ResizeFilter::kBicubic;
  NormalizationConfig normalization;

  // FAILED_PRECONDITION or NOT_FOUND naming file and field.
  static absl::StatusOr<GotOcr2ImageProcessorConfig> Load(const std::filesystem::path& model_dir);
  // `config` as preprocessor_config.json has it.
  static absl::StatusOr<GotOcr2ImageProcessorConfig> Parse(const nlohmann::json& config);
};

// ProcessedImage has the tiles one below the other, the thumbnail last.
class GotOcr2ImageProcessor : public ImageProcessor {
 public:
  // A tile's visual tokens in the prompt, each of which is `image_token`.
  struct TileTokens {
    int32_t image_token = 0;
    int rows = 0;
    int cols = 0;
  };
  GotOcr2ImageProcessor(const GotOcr2ImageProcessorConfig& config, const TileTokens& tokens);

  using ImageProcessor::Process;
  absl::StatusOr<Plan> MakePlan(int width, int height, int orientation) const override;
  absl::StatusOr<ProcessedImage> Process(const Plan& plan,
                                         absl::FunctionRef<absl::Status(RowSink& rows)> read) const override;
  ImageShape smallest() const override;
  // Of the most tiles, in a shape that is as square as can be.
  ImageShape largest() const override;

 private:
  ImageShape ShapeOf(const TileArrangement& tiles) const;

  const GotOcr2ImageProcessorConfig config_;
  const TileTokens tokens_;
  const std::shared_ptr<const Normalization> normalization_;
};

}  // namespace varserve::image
