#include "server/image/idefics3_image_processor.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/status_macros.h"
#include "server/image/processor_file.h"

namespace varserve::image {
namespace {

constexpr char kAroundImage[] = "<fake_token_around_image>";
constexpr char kGlobalTile[] = "<global-img>";
constexpr char kImage[] = "<image>";
// Beyond this, transformers resizes a picture once more.
constexpr int kLongestEdge = 4096;
constexpr int kDefaultTile = 364;

int RoundUp(int size, int unit) { return (size + unit - 1) / unit * unit; }

// {"longest_edge": ..}
int ReadLongestEdge(JsonFields& fields, const char* key, int fallback) {
  if (!fields.Has(key)) return fallback;
  const nlohmann::json& value = *fields.Find(key);
  if (!value.is_object() || value.size() != 1 || !value.contains("longest_edge")) {
    fields.FailWithValue(key, "which is not supported; supported is longest_edge");
    return fallback;
  }
  JsonFields size = fields.Object(key);
  return static_cast<int>(size.Int("longest_edge", fallback, 1, kLongestEdge));
}

absl::StatusOr<Idefics3ImageProcessorConfig> ReadConfig(JsonFields& fields) {
  constexpr std::array<double, 3> kHalf = {0.5, 0.5, 0.5};
  Idefics3ImageProcessorConfig c;
  ReadImageProcessorType(fields, "Idefics3ImageProcessor",
                         {"Idefics3ImageProcessor", "SmolVLMImageProcessor"});
  c.longest_edge = ReadLongestEdge(fields, "size", 4 * kDefaultTile);
  c.tile = ReadLongestEdge(fields, "max_image_size", kDefaultTile);
  c.splits = Flag(fields, "do_image_splitting", true);
  fields.Neutral("do_resize", true);
  c.filter = ReadFilter(fields, ResizeFilter::kLanczos);
  c.normalization = NormalizationConfig::Read(fields, kHalf, kHalf);
  const int64_t side = RoundUp(RoundUp(c.longest_edge, 2), c.tile) / c.tile;  // tiles of a square picture
  if (c.splits && side * side > kMostTiles) {
    fields.FailWithValue("size",
                         absl::StrCat("more than ", kMostTiles, " tiles of max_image_size, ", c.tile));
  }
  if (!fields.status().ok()) return fields.status();
  return c;
}

RgbImage Resized(const RgbImage& picture, const ResizePlan& plan) {
  const std::unique_ptr<ImageResizer> resizer = ImageResizer::Create(plan);
  const size_t row = static_cast<size_t>(picture.width) * 3;
  for (int y = 0; y < picture.height; ++y) resizer->AddRow(&picture.rgb[y * row]);
  return resizer->Finish();
}

// What the processor writes for an image, with one placeholder for all visual tokens of a tile.
std::string TextOf(const TileGrid& tiles) {
  std::string text;
  for (int row = 1; tiles.thumbnail && row <= tiles.down; ++row) {
    for (int col = 1; col <= tiles.across; ++col) {
      absl::StrAppend(&text, kAroundImage, "<row_", row, "_col_", col, ">", kImage);
    }
    absl::StrAppend(&text, "\n");
  }
  absl::StrAppend(&text, tiles.thumbnail ? "\n" : "", kAroundImage, kGlobalTile, kImage, kAroundImage);
  return text;
}

absl::Status CheckTokens(const std::vector<int32_t>& ids, int vocabulary) {
  for (const int32_t id : ids) {
    if (id < vocabulary) continue;
    return absl::FailedPreconditionError(absl::StrCat("tokenizer.json: the text around images has token ", id,
                                                      ", but the model has only ", vocabulary, " tokens"));
  }
  return absl::OkStatus();
}

// `ids`: of the text of `tiles` tiles.
absl::StatusOr<TileText> SplitAtTiles(const std::vector<int32_t>& ids, int32_t image_token, int tiles) {
  TileText text{.before = {}, .after = {}};
  for (const int32_t id : ids) {
    if (id == image_token) {
      text.before.push_back(std::move(text.after));
      text.after.clear();
    } else {
      text.after.push_back(id);
    }
  }
  if (static_cast<int>(text.before.size()) == tiles) return text;
  return absl::FailedPreconditionError(absl::StrCat("tokenizer.json: ", kImage,
                                                    ", which the processor writes for an image, is not ",
                                                    "config.json's image token, ", image_token));
}

}  // namespace

absl::StatusOr<Idefics3ImageProcessorConfig> Idefics3ImageProcessorConfig::Load(
    const std::filesystem::path& model_dir) {
  ASSIGN_OR_RETURN(const ProcessorFile file, ProcessorFile::Load(model_dir));
  JsonFields fields = file.fields();
  return ReadConfig(fields);
}

absl::StatusOr<Idefics3ImageProcessorConfig> Idefics3ImageProcessorConfig::Parse(
    const nlohmann::json& config) {
  JsonFields fields(config, ProcessorFile::kPreprocessorFile);
  return ReadConfig(fields);
}

Idefics3ImageProcessor::Idefics3ImageProcessor(const Idefics3ImageProcessorConfig& config,
                                               const TileTokens& tokens)
    : config_(config),
      tokens_(tokens),
      normalization_(std::make_shared<const Normalization>(config.normalization.Table())) {}

absl::StatusOr<std::unique_ptr<const Idefics3ImageProcessor>> Idefics3ImageProcessor::Create(
    const Idefics3ImageProcessorConfig& config, const TileTokens& tokens, int max_image_tokens,
    TextEncoder encode) {
  auto processor = absl::WrapUnique(new Idefics3ImageProcessor(config, tokens));
  RETURN_IF_ERROR(processor->LimitTokens(max_image_tokens));
  RETURN_IF_ERROR(processor->MakeLayouts(encode));
  return processor;
}

absl::Status Idefics3ImageProcessor::LimitTokens(int max_image_tokens) {
  if (max_image_tokens == 0) return absl::OkStatus();
  RETURN_IF_ERROR(CheckTileFits(max_image_tokens, tokens_.side * tokens_.side));
  while (GridOf(MostTiles(), tokens_.side, tokens_.side).num_visual_tokens() > max_image_tokens) {
    config_.splits = config_.longest_edge > config_.tile;
    if (config_.splits) config_.longest_edge = RoundUp(config_.longest_edge, config_.tile) - config_.tile;
  }
  return absl::OkStatus();
}

absl::Status Idefics3ImageProcessor::MakeLayouts(TextEncoder encode) {
  ASSIGN_OR_RETURN(const std::vector<int32_t> around, encode(kAroundImage));
  if (around.size() != 1) {
    return absl::FailedPreconditionError(absl::StrCat("tokenizer.json: has no token ", kAroundImage,
                                                      ", which the processor writes around images"));
  }
  const TileArrangement most = MostTiles();
  for (TileArrangement tiles; tiles.down <= most.down; ++tiles.down) {
    for (tiles.across = 1; tiles.across <= most.across; ++tiles.across) {
      const TileGrid grid = GridOf(tiles, tokens_.side, tokens_.side);
      ASSIGN_OR_RETURN(const std::vector<int32_t> ids, encode(TextOf(grid)));
      RETURN_IF_ERROR(CheckTokens(ids, tokens_.vocabulary));
      ASSIGN_OR_RETURN(const TileText text, SplitAtTiles(ids, tokens_.image_token, grid.num_tiles()));
      layouts_[{tiles.down, tiles.across}] =
          std::make_shared<const ImageLayout>(tokens_.image_token, grid, text);
    }
  }
  return absl::OkStatus();
}

// As transformers computes it, in double and cut off.
Idefics3ImageProcessor::Size Idefics3ImageProcessor::ToLongestEdge(int width, int height) const {
  const double aspect_ratio = static_cast<double>(width) / height;
  const auto even = [](double side) { return std::max(RoundUp(static_cast<int>(side), 2), 1); };
  const int edge = config_.longest_edge;
  if (width >= height) return {.height = even(edge / aspect_ratio), .width = edge};
  return {.height = edge, .width = even(edge * aspect_ratio)};
}

Idefics3ImageProcessor::Size Idefics3ImageProcessor::ToWholeTiles(const Size& size) const {
  if (!config_.splits) return OneTile();
  const double aspect_ratio = static_cast<double>(size.width) / size.height;
  // transformers fails where rounding makes the thinnest picture thinner than a pixel.
  const auto whole = [&](double side) { return RoundUp(std::max(static_cast<int>(side), 1), config_.tile); };
  if (size.width >= size.height) {
    const int width = whole(size.width);
    return {.height = whole(width / aspect_ratio), .width = width};
  }
  const int height = whole(size.height);
  return {.height = height, .width = whole(height * aspect_ratio)};
}

ResizePlan Idefics3ImageProcessor::PlanOf(const Size& from, const Size& to) const {
  return {
      .x = WholeAxis(from.width, to.width), .y = WholeAxis(from.height, to.height), .filter = config_.filter};
}

TileArrangement Idefics3ImageProcessor::MostTiles() const {
  return TilesOf(ToWholeTiles(ToLongestEdge(/*width=*/1, /*height=*/1)));
}

TileArrangement Idefics3ImageProcessor::TilesOf(const Size& whole_tiles) const {
  return {.down = whole_tiles.height / config_.tile, .across = whole_tiles.width / config_.tile};
}

ImageShape Idefics3ImageProcessor::ShapeOf(const TileArrangement& tiles) const {
  return {.height = config_.tile,
          .width = config_.tile,
          .tiles = GridOf(tiles, tokens_.side, tokens_.side).num_tiles(),
          .layout = layouts_.at({tiles.down, tiles.across})};
}

absl::StatusOr<ImageProcessor::Plan> Idefics3ImageProcessor::MakePlan(int width, int height,
                                                                      int orientation) const {
  if (IsTransposed(orientation)) std::swap(width, height);
  if (std::max(width, height) > kLongestSide) return TooLongAndThin(width, height);
  const Size edge = ToLongestEdge(width, height);
  Plan plan{.resize = {.orientation = orientation,
                       .x = WholeAxis(width, edge.width),
                       .y = WholeAxis(height, edge.height),
                       .filter = config_.filter}};
  const Size whole = ToWholeTiles(edge);
  const int64_t tile_bytes = int64_t{3} * config_.tile * config_.tile;
  plan.image_bytes = GridOf(TilesOf(whole), tokens_.side, tokens_.side).num_tiles() * tile_bytes;
  // Each step's input is kept until it is done.
  const int64_t edge_bytes = int64_t{3} * edge.width * edge.height;
  const int64_t whole_bytes = int64_t{3} * whole.width * whole.height;
  plan.bytes = std::max({ResizeBytes(plan.resize), edge_bytes + ResizeBytes(PlanOf(edge, whole)),
                         whole_bytes + plan.image_bytes + ResizeBytes(PlanOf(whole, OneTile()))});
  return plan;
}

absl::StatusOr<ProcessedImage> Idefics3ImageProcessor::Process(
    const Plan& plan, absl::FunctionRef<absl::Status(RowSink& rows)> read) const {
  std::unique_ptr<ImageResizer> resizer = ImageResizer::Create(plan.resize);
  RETURN_IF_ERROR(read(*resizer));
  RgbImage picture = resizer->Finish();
  resizer.reset();
  const Size edge{.height = picture.height, .width = picture.width};
  const Size whole = ToWholeTiles(edge);
  picture = Resized(picture, PlanOf(edge, whole));
  const TileArrangement tiles = TilesOf(whole);
  const ImageShape shape = ShapeOf(tiles);
  ProcessedImage processed{.height = shape.tiles * shape.height,
                           .width = shape.width,
                           .normalization = normalization_,
                           .region = plan.region,
                           .layout = shape.layout};
  processed.rgb.reserve(plan.image_bytes);
  AppendTiles(picture, tiles, processed.rgb);
  if (tiles.count() > 1)
    AppendTiles(Resized(picture, PlanOf(whole, OneTile())), TileArrangement(), processed.rgb);
  processed.digest = DigestOf(processed);
  return processed;
}

// Of the longest and thinnest picture.
ImageShape Idefics3ImageProcessor::smallest() const {
  return ShapeOf(
      {.down = 1, .across = config_.splits ? RoundUp(config_.longest_edge, config_.tile) / config_.tile : 1});
}

// Of a square picture.
ImageShape Idefics3ImageProcessor::largest() const { return ShapeOf(MostTiles()); }

}  // namespace varserve::image
