#include "server/image/got_ocr2_image_processor.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/status_macros.h"
#include "server/image/processor_file.h"

namespace varserve::image {
namespace {

constexpr int kDefaultTile = 384;  // pixels

absl::StatusOr<GotOcr2ImageProcessorConfig> ReadConfig(JsonFields& fields) {
  GotOcr2ImageProcessorConfig c;
  ReadImageProcessorType(fields, "GotOcr2ImageProcessor", {"GotOcr2ImageProcessor"});
  c.tile_height = c.tile_width = kDefaultTile;
  if (fields.Find("size") != nullptr) ReadHeightAndWidth(fields, "size", c.tile_height, c.tile_width);
  c.min_tiles = static_cast<int>(fields.Int("min_patches", 1, 1, kMostTiles));
  c.max_tiles = static_cast<int>(fields.Int("max_patches", 12, 1, kMostTiles));
  if (c.min_tiles > c.max_tiles) {
    fields.FailWithValue("min_patches", absl::StrCat("more than max_patches, ", c.max_tiles));
  }
  fields.Neutral("do_resize", true);
  c.filter = ReadFilter(fields);
  c.normalization = NormalizationConfig::Read(fields);
  if (!fields.status().ok()) return fields.status();
  return c;
}

}  // namespace

absl::StatusOr<GotOcr2ImageProcessorConfig> GotOcr2ImageProcessorConfig::Load(
    const std::filesystem::path& model_dir) {
  ASSIGN_OR_RETURN(const ProcessorFile file, ProcessorFile::Load(model_dir));
  JsonFields fields = file.fields();
  return ReadConfig(fields);
}

absl::StatusOr<GotOcr2ImageProcessorConfig> GotOcr2ImageProcessorConfig::Parse(const nlohmann::json& config) {
  JsonFields fields(config, ProcessorFile::kPreprocessorFile);
  return ReadConfig(fields);
}

GotOcr2ImageProcessor::GotOcr2ImageProcessor(const GotOcr2ImageProcessorConfig& config,
                                             const TileTokens& tokens)
    : config_(config),
      tokens_(tokens),
      normalization_(std::make_shared<const Normalization>(config.normalization.Table())) {}

ImageShape GotOcr2ImageProcessor::ShapeOf(const TileArrangement& tiles) const {
  const TileGrid grid = GridOf(tiles, tokens_.rows, tokens_.cols);
  return {.height = config_.tile_height,
          .width = config_.tile_width,
          .tiles = grid.num_tiles(),
          .layout = std::make_shared<const ImageLayout>(tokens_.image_token, grid)};
}

absl::StatusOr<ImageProcessor::Plan> GotOcr2ImageProcessor::MakePlan(int width, int height,
                                                                     int orientation) const {
  if (IsTransposed(orientation)) std::swap(width, height);
  if (std::max(width, height) > kLongestSide) return TooLongAndThin(width, height);
  const TileArrangement tiles = ClosestTiles(width, height, config_.tile_width, config_.tile_height,
                                             config_.min_tiles, config_.max_tiles);
  Plan plan{.resize = {.orientation = orientation,
                       .x = WholeAxis(width, tiles.across * config_.tile_width),
                       .y = WholeAxis(height, tiles.down * config_.tile_height),
                       .filter = config_.filter}};
  const int64_t tile_bytes = int64_t{3} * config_.tile_height * config_.tile_width;
  plan.image_bytes = GridOf(tiles, tokens_.rows, tokens_.cols).num_tiles() * tile_bytes;
  plan.bytes = ResizeBytes(plan.resize) + plan.image_bytes;
  if (tiles.count() > 1)
    plan.bytes += ResizeBytes(ThumbnailPlan(plan.resize, config_.tile_height, config_.tile_width));
  return plan;
}

absl::StatusOr<ProcessedImage> GotOcr2ImageProcessor::Process(
    const Plan& plan, absl::FunctionRef<absl::Status(RowSink& rows)> read) const {
  const TileArrangement tiles{.down = plan.resize.y.count / config_.tile_height,
                              .across = plan.resize.x.count / config_.tile_width};
  const ImageShape shape = ShapeOf(tiles);
  ProcessedImage processed{.height = shape.tiles * shape.height,
                           .width = shape.width,
                           .normalization = normalization_,
                           .region = plan.region,
                           .layout = shape.layout};
  processed.rgb.reserve(plan.image_bytes);
  const std::unique_ptr<ImageResizer> resizer = ImageResizer::Create(plan.resize);
  if (tiles.count() == 1) {
    RETURN_IF_ERROR(read(*resizer));
    processed.rgb = std::move(resizer->Finish().rgb);
  } else {
    const std::unique_ptr<ImageResizer> thumbnail =
        ImageResizer::Create(ThumbnailPlan(plan.resize, config_.tile_height, config_.tile_width));
    TilesAndThumbnail both(*resizer, *thumbnail);
    RETURN_IF_ERROR(read(both));
    AppendTiles(resizer->Finish(), tiles, processed.rgb);
    AppendTiles(thumbnail->Finish(), TileArrangement(), processed.rgb);
  }
  processed.digest = DigestOf(processed);
  return processed;
}

ImageShape GotOcr2ImageProcessor::smallest() const { return ShapeOf({.down = config_.min_tiles}); }

ImageShape GotOcr2ImageProcessor::largest() const {
  TileArrangement squarest{.down = 1, .across = config_.max_tiles};
  for (int down = 1; down * down <= config_.max_tiles; ++down) {
    if (config_.max_tiles % down == 0) squarest = {.down = down, .across = config_.max_tiles / down};
  }
  return ShapeOf(squarest);
}

}  // namespace varserve::image
