#include "server/image/llava_next_image_processor.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/status_macros.h"
#include "server/image/black_frame.h"
#include "server/image/processor_file.h"

namespace varserve::image {
namespace {

// One number, a shortest edge, or two equal sides.
int ReadSquare(JsonFields& fields, const char* key, int fallback) {
  const nlohmann::json* const value = fields.Find(key);
  if (value == nullptr) return fallback;
  if (value->is_number()) return ReadEdge(fields, key);
  if (value->is_object() && value->size() == 1 && value->contains("shortest_edge")) {
    JsonFields size = fields.Object(key);
    return ReadEdge(size, "shortest_edge");
  }
  int height = 1;
  int width = 1;
  ReadHeightAndWidth(fields, key, height, width);
  if (height != width) fields.FailWithValue(key, "not a square: tiles are");
  return height;
}

void ReadTile(JsonFields& fields, LlavaNextImageProcessorConfig& c) {
  constexpr char kCrop[] = "crop_size";
  c.tile = ReadSquare(fields, "size", c.onevision ? 384 : 224);
  const bool has_crop = fields.Has(kCrop) || (!c.onevision && !fields.IsNull(kCrop));
  if (!has_crop) {
    if (Flag(fields, "do_center_crop", !c.onevision)) {
      fields.Fail(kCrop, "is missing, but do_center_crop is true");
    }
  } else if (const int crop = ReadSquare(fields, kCrop, 224); crop != c.tile) {
    fields.Fail(kCrop, absl::StrCat("is ", crop, ", but size is ", c.tile, ": tiles must be of one size"));
  }
}

absl::StatusOr<LlavaNextImageProcessorConfig> ReadConfig(JsonFields& fields, const char* type) {
  LlavaNextImageProcessorConfig c;
  c.onevision = absl::string_view(type) == "LlavaOnevisionImageProcessor";
  ReadImageProcessorType(fields, type, {type});
  ReadTile(fields, c);
  c.pinpoints = ReadGridPinpoints(fields, c.onevision ? LlavaOnevisionPinpoints() : LlavaNextPinpoints());
  for (const GridPinpoint& pinpoint : c.pinpoints) {
    const bool whole = pinpoint.height % c.tile == 0 && pinpoint.width % c.tile == 0;
    if (whole && (pinpoint.height / c.tile) * (pinpoint.width / c.tile) <= kMostTiles) continue;
    fields.Fail("image_grid_pinpoints",
                absl::StrCat("has [", pinpoint.height, ", ", pinpoint.width, "], not 1 to ", kMostTiles,
                             " whole tiles of ", c.tile, " x ", c.tile, " pixels"));
  }
  c.filter = ReadFilter(fields);
  c.normalization = NormalizationConfig::Read(fields);
  if (!fields.status().ok()) return fields.status();
  return c;
}

// Python's a // b of positive floats.
int FloorDivide(double a, double b) { return static_cast<int>(std::round((a - std::fmod(a, b)) / b)); }

// Python's int(round(x, 7)), as long as x is a fraction of numbers up to kLongestSide.
int WholePart(double x) { return static_cast<int>(std::floor(x + 0.5e-7)); }

}  // namespace

absl::StatusOr<LlavaNextImageProcessorConfig> LlavaNextImageProcessorConfig::Load(
    const std::filesystem::path& model_dir, const char* type) {
  ASSIGN_OR_RETURN(const ProcessorFile file, ProcessorFile::Load(model_dir));
  JsonFields fields = file.fields();
  return ReadConfig(fields, type);
}

absl::StatusOr<LlavaNextImageProcessorConfig> LlavaNextImageProcessorConfig::Parse(
    const nlohmann::json& config, const char* type) {
  JsonFields fields(config, ProcessorFile::kPreprocessorFile);
  return ReadConfig(fields, type);
}

LlavaNextImageProcessor::LlavaNextImageProcessor(const LlavaNextImageProcessorConfig& config,
                                                 const TileTokens& tokens)
    : config_(config),
      tokens_(tokens),
      normalization_(std::make_shared<const Normalization>(config.normalization.Table())) {
  if (!config.onevision) return;
  const ClipImageProcessorConfig untiled{.pad_to_square = true,
                                         .resize_height = config.tile,
                                         .resize_width = config.tile,
                                         .filter = config.filter,
                                         .do_center_crop = false,
                                         .normalization = config.normalization};
  const JoinedTiles thumbnail{
      .tiles = {.down = 0, .across = 0, .rows = tokens.side, .cols = tokens.side, .thumbnail = true}};
  untiled_ = std::make_unique<const ClipImageProcessor>(untiled, ShapeOf(thumbnail).layout);
}

absl::StatusOr<std::unique_ptr<const LlavaNextImageProcessor>> LlavaNextImageProcessor::Create(
    const LlavaNextImageProcessorConfig& config, const TileTokens& tokens, int max_image_tokens) {
  std::unique_ptr<LlavaNextImageProcessor> processor(new LlavaNextImageProcessor(config, tokens));
  int64_t fewest = 0;
  for (const GridPinpoint& p : config.pinpoints) {
    const TileArrangement tiles{.down = p.height / config.tile, .across = p.width / config.tile};
    const JoinedTiles joined = processor->LargestOf(tiles);
    const int64_t visual = int64_t{tokens.side} * tokens.side + int64_t{joined.rows} * joined.cols;
    fewest = fewest == 0 ? visual : std::min(fewest, visual);
    if (max_image_tokens == 0 || visual <= max_image_tokens) processor->arrangements_.push_back(tiles);
  }
  if (processor->arrangements_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--max_image_tokens: is ", max_image_tokens,
                                                   ", but a picture in the fewest tiles has up to ", fewest,
                                                   " tokens"));
  }
  return processor;
}

JoinedTiles LlavaNextImageProcessor::Join(int width, int height, const TileArrangement& tiles) const {
  int rows = tiles.down * tokens_.side;
  int cols = tiles.across * tokens_.side;
  if (static_cast<double>(width) / height > static_cast<double>(cols) / rows) {
    rows -= (rows - WholePart(height * (static_cast<double>(cols) / width))) / 2 * 2;
  } else {
    cols -= (cols - WholePart(width * (static_cast<double>(rows) / height))) / 2 * 2;
  }
  return Keep(rows, cols, tiles);
}

JoinedTiles LlavaNextImageProcessor::Keep(int rows, int cols, const TileArrangement& tiles) const {
  JoinedTiles joined{.tiles = {.down = tiles.down,
                               .across = tiles.across,
                               .rows = tokens_.side,
                               .cols = tokens_.side,
                               .thumbnail = true},
                     .kept_rows = rows,
                     .kept_cols = cols,
                     .rows = rows,
                     .cols = cols};
  if (tokens_.most_tiles == 0) return joined;
  const double most = static_cast<double>(tokens_.most_tiles) * tokens_.side * tokens_.side;
  const double ratio = std::sqrt(static_cast<double>(rows) * cols / most);
  if (ratio > 1.1) {
    joined.rows = FloorDivide(rows, ratio);
    joined.cols = FloorDivide(cols, ratio);
  }
  return joined;
}

JoinedTiles LlavaNextImageProcessor::LargestOf(const TileArrangement& tiles) const {
  const int rows = tiles.down * tokens_.side;
  const int cols = tiles.across * tokens_.side;
  JoinedTiles largest = Keep(rows, cols, tiles);
  for (int cut = 2; cut <= std::max(rows, cols); cut += 2) {
    for (const JoinedTiles& joined :
         {Keep(rows, std::max(cols - cut, 0), tiles), Keep(std::max(rows - cut, 0), cols, tiles)}) {
      if (int64_t{joined.rows} * joined.cols > int64_t{largest.rows} * largest.cols) largest = joined;
    }
  }
  return largest;
}

ImageShape LlavaNextImageProcessor::ShapeOf(const JoinedTiles& joined) const {
  return {.height = config_.tile,
          .width = config_.tile,
          .tiles = joined.tiles.num_tiles(),
          .layout = std::make_shared<const ImageLayout>(tokens_.image_token, joined)};
}

ImageRegion LlavaNextImageProcessor::RegionOf(const JoinedTiles& joined, const ResizePlan& resize) const {
  if (joined.rows == 0 || joined.cols == 0) return {};
  const double token = static_cast<double>(config_.tile) / tokens_.side;  // pixels
  // Along one axis: where the kept features begin and end, as shares of the picture's size.
  const auto seen = [&](int tiles, int kept, int resized) {
    const int black = BlackBefore(resized, tiles * config_.tile);
    const int cut = (tiles * tokens_.side - kept) / 2;
    return std::pair(static_cast<float>((cut * token - black) / resized),
                     static_cast<float>(((cut + kept) * token - black) / resized));
  };
  ImageRegion region;
  std::tie(region.left, region.right) = seen(joined.tiles.across, joined.kept_cols, resize.x.count);
  std::tie(region.top, region.bottom) = seen(joined.tiles.down, joined.kept_rows, resize.y.count);
  return region;
}

absl::StatusOr<ImageProcessor::Plan> LlavaNextImageProcessor::MakePlan(int width, int height,
                                                                       int orientation) const {
  if (IsTransposed(orientation)) std::swap(width, height);
  if (std::max(width, height) > kLongestSide) return TooLongAndThin(width, height);
  const TileArrangement tiles = BestTiles(width, height, config_.tile, arrangements_);
  // As transformers' get_patch_output_size.
  int fitted_width = tiles.across * config_.tile;
  int fitted_height = tiles.down * config_.tile;
  const double scale_x = static_cast<double>(fitted_width) / width;
  const double scale_y = static_cast<double>(fitted_height) / height;
  if (scale_x < scale_y) {
    fitted_height = std::min(static_cast<int>(std::ceil(height * scale_x)), fitted_height);
  } else {
    fitted_width = std::min(static_cast<int>(std::ceil(width * scale_y)), fitted_width);
  }
  Plan plan{.resize = {.orientation = orientation,
                       .x = WholeAxis(width, fitted_width),
                       .y = WholeAxis(height, fitted_height),
                       .filter = config_.filter}};
  const JoinedTiles joined = Join(width, height, tiles);
  plan.region = RegionOf(joined, plan.resize);
  const int64_t tile_bytes = int64_t{3} * config_.tile * config_.tile;
  plan.image_bytes = joined.tiles.num_tiles() * tile_bytes;
  plan.bytes = ResizeBytes(plan.resize) +
               ResizeBytes(ThumbnailPlan(plan.resize, config_.tile, config_.tile)) +
               tiles.count() * tile_bytes + plan.image_bytes;
  return plan;
}

absl::StatusOr<ProcessedImage> LlavaNextImageProcessor::Process(
    const Plan& plan, absl::FunctionRef<absl::Status(RowSink& rows)> read) const {
  const int width = plan.resize.x.size;
  const int height = plan.resize.y.size;
  const TileArrangement tiles = BestTiles(width, height, config_.tile, arrangements_);
  const ImageShape shape = ShapeOf(Join(width, height, tiles));
  ProcessedImage processed{.height = shape.tiles * shape.height,
                           .width = shape.width,
                           .normalization = normalization_,
                           .region = plan.region,
                           .layout = shape.layout};
  const std::unique_ptr<ImageResizer> resizer = ImageResizer::Create(plan.resize);
  const std::unique_ptr<ImageResizer> thumbnail =
      ImageResizer::Create(ThumbnailPlan(plan.resize, config_.tile, config_.tile));
  TilesAndThumbnail both(*resizer, *thumbnail);
  RETURN_IF_ERROR(read(both));
  processed.rgb.reserve(plan.image_bytes);
  AppendTiles(thumbnail->Finish(), TileArrangement(), processed.rgb);
  AppendTiles(FrameInBlack(resizer->Finish(), tiles.across * config_.tile, tiles.down * config_.tile), tiles,
              processed.rgb);
  processed.digest = DigestOf(processed);
  return processed;
}

const ImageProcessor& LlavaNextImageProcessor::For(int num_images) const {
  if (num_images > 1 && untiled_ != nullptr) return *untiled_;
  return *this;
}

ImageShape LlavaNextImageProcessor::smallest() const {
  return ShapeOf({.tiles = {.rows = tokens_.side, .cols = tokens_.side, .thumbnail = true}});
}

ImageShape LlavaNextImageProcessor::largest() const {
  ImageShape largest;
  int tiles = 0;
  for (const TileArrangement& arrangement : arrangements_) {
    const ImageShape shape = ShapeOf(LargestOf(arrangement));
    tiles = std::max(tiles, shape.tiles);
    if (largest.layout == nullptr || shape.layout->size() > largest.layout->size()) largest = shape;
  }
  largest.tiles = tiles;
  return largest;
}

}  // namespace varserve::image
