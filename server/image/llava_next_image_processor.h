// transformers' LlavaNextImageProcessor and LlavaOnevisionImageProcessor: a picture is resized to the whole
// of one tile, the thumbnail, and, keeping its shape, into the best of several arrangements of tiles, with
// black around it. LLaVA-OneVision does so for the only picture of a conversation. One of several becomes one
// tile, with the mean color around it. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"
#include "server/image/clip_image_processor.h"
#include "server/image/grid_pinpoints.h"
#include "server/image/image_processor.h"
#include "server/image/normalization_config.h"
#include "server/image/tiles.h"

namespace varserve::image {

// As preprocessor_config.json has it, with transformers' defaults for what is missing.
struct LlavaNextImageProcessorConfig {
  bool onevision = false;               // LlavaOnevisionImageProcessor
  int tile = 0;                         // pixels, down and across
  std::vector<GridPinpoint> pinpoints;  // of whole tiles
  ResizeFilter filter = ResizeFilter::kBicubic;
  NormalizationConfig normalization;

  // `type`: the processor that there must be, one of the two. FAILED_PRECONDITION or NOT_FOUND naming file
  // and field.
  static absl::StatusOr<LlavaNextImageProcessorConfig> Load(const std::filesystem::path& model_dir,
                                                            const char* type);
  // `config` as preprocessor_config.json has it.
  static absl::StatusOr<LlavaNextImageProcessorConfig> Parse(const nlohmann::json& config, const char* type);
};

// ProcessedImage has the tiles one below the other, the thumbnail first.
class LlavaNextImageProcessor : public ImageProcessor {
 public:
  // A tile's features, and what the prompt has of all tiles'.
  struct TileTokens {
    int32_t image_token = 0;
    int side = 0;  // features of a tile, down and across
    // anyres_max_N: features of more than 1.21 N tiles are resized to about those of N. 0: never.
    int most_tiles = 0;
  };
  // max_image_tokens: arrangements that may give an image more visual tokens are not used; 0: all are.
  // INVALID_ARGUMENT if none is left.
  static absl::StatusOr<std::unique_ptr<const LlavaNextImageProcessor>> Create(
      const LlavaNextImageProcessorConfig& config, const TileTokens& tokens, int max_image_tokens);

  using ImageProcessor::Process;
  absl::StatusOr<Plan> MakePlan(int width, int height, int orientation) const override;
  absl::StatusOr<ProcessedImage> Process(const Plan& plan,
                                         absl::FunctionRef<absl::Status(RowSink& rows)> read) const override;
  const ImageProcessor& For(int num_images) const override;
  ImageShape smallest() const override;
  // With the layout of the most visual tokens, and the most tiles of any arrangement.
  ImageShape largest() const override;

 private:
  LlavaNextImageProcessor(const LlavaNextImageProcessorConfig& config, const TileTokens& tokens);

  // What becomes of the features of a picture in these tiles. As transformers' unpad_image.
  JoinedTiles Join(int width, int height, const TileArrangement& tiles) const;
  // The same of rows x cols features that show the picture.
  JoinedTiles Keep(int rows, int cols, const TileArrangement& tiles) const;
  // Of the picture with the most visual tokens. Not always the one that fills the tiles: that one's features
  // may be resized.
  JoinedTiles LargestOf(const TileArrangement& tiles) const;
  ImageShape ShapeOf(const JoinedTiles& joined) const;
  ImageRegion RegionOf(const JoinedTiles& joined, const ResizePlan& resize) const;

  const LlavaNextImageProcessorConfig config_;
  const TileTokens tokens_;
  std::vector<TileArrangement> arrangements_;
  std::unique_ptr<const ClipImageProcessor> untiled_;  // of LLaVA-OneVision
  const std::shared_ptr<const Normalization> normalization_;
};

}  // namespace varserve::image
