// transformers' Idefics3ImageProcessor and SmolVLMImageProcessor, which are the same, and the tokens that
// their processors write: a picture is resized to a longest edge, then to whole tiles, then cut into them; if
// they are several, the whole picture, resized once more, becomes the last tile, the thumbnail. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"
#include "server/image/image_processor.h"
#include "server/image/normalization_config.h"
#include "server/image/tiles.h"

namespace varserve::image {

// As preprocessor_config.json has it, with transformers' defaults for what is missing.
struct Idefics3ImageProcessorConfig {
  int longest_edge = 0;  // size: pixels of a picture's longer side before it is made of whole tiles
  int tile = 0;          // max_image_size: pixels down and across
  bool splits = true;    // do_image_splitting; otherwise every picture is one tile
  ResizeFilter filter = ResizeFilter::kLanczos;
  NormalizationConfig normalization;

  // FAILED_PRECONDITION or NOT_FOUND naming file and field.
  static absl::StatusOr<Idefics3ImageProcessorConfig> Load(const std::filesystem::path& model_dir);
  // `config` as preprocessor_config.json has it.
  static absl::StatusOr<Idefics3ImageProcessorConfig> Parse(const nlohmann::json& config);
};

// ProcessedImage has the tiles one below the other, the thumbnail last.
class Idefics3ImageProcessor : public ImageProcessor {
 public:
  struct TileTokens {
    int32_t image_token = 0;  // of each visual token
    int side = 0;             // visual tokens down and across a tile
    int vocabulary = 0;       // tokens of the model
  };
  // max_image_tokens: as Family::image_processor has it; the longest edge becomes fewer tiles. Errors:
  // INVALID_ARGUMENT naming the flag if one tile has more, FAILED_PRECONDITION naming tokenizer.json if it
  // does not have the tokens around tiles.
  static absl::StatusOr<std::unique_ptr<const Idefics3ImageProcessor>> Create(
      const Idefics3ImageProcessorConfig& config, const TileTokens& tokens, int max_image_tokens,
      TextEncoder encode);

  using ImageProcessor::Process;
  absl::StatusOr<Plan> MakePlan(int width, int height, int orientation) const override;
  absl::StatusOr<ProcessedImage> Process(const Plan& plan,
                                         absl::FunctionRef<absl::Status(RowSink& rows)> read) const override;
  ImageShape smallest() const override;
  ImageShape largest() const override;

 private:
  struct Size {
    int height = 0;
    int width = 0;
  };

  Idefics3ImageProcessor(const Idefics3ImageProcessorConfig& config, const TileTokens& tokens);
  absl::Status LimitTokens(int max_image_tokens);
  absl::Status MakeLayouts(TextEncoder encode);
  Size OneTile() const { return {.height = config_.tile, .width = config_.tile}; }
  Size ToLongestEdge(int width, int height) const;
  Size ToWholeTiles(const Size& size) const;
  ResizePlan PlanOf(const Size& from, const Size& to) const;
  // The most that a picture has.
  TileArrangement MostTiles() const;
  TileArrangement TilesOf(const Size& whole_tiles) const;
  ImageShape ShapeOf(const TileArrangement& tiles) const;

  Idefics3ImageProcessorConfig config_;
  const TileTokens tokens_;
  const std::shared_ptr<const Normalization> normalization_;
  std::map<std::pair<int, int>, std::shared_ptr<const ImageLayout>> layouts_;  // by tiles down and across
};

}  // namespace varserve::image
