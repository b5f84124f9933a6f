#include "server/image/qwen2_vl_image_processor.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"
#include "server/base/status_macros.h"
#include "server/image/processor_file.h"

namespace varserve::image {
namespace {

constexpr int kMaxAspectRatio = 200;
constexpr int64_t kMaxPixels = int64_t{1} << 28;
constexpr int kMaxPatch = 1 << 10;

absl::StatusOr<Qwen2VlImageProcessorConfig> ReadConfig(JsonFields& fields) {
  Qwen2VlImageProcessorConfig c;
  ReadImageProcessorType(fields, "Qwen2VLImageProcessor", {"Qwen2VLImageProcessor"});
  const auto patch = [&](const char* key, int fallback) {
    return static_cast<int>(fields.Int(key, fallback, 1, kMaxPatch));
  };
  c.patch_size = patch("patch_size", 14);
  c.temporal_patch_size = patch("temporal_patch_size", 2);
  c.merge_size = patch("merge_size", 2);
  // min_pixels and max_pixels of older files replace what `size` says.
  const bool has_size = fields.Has("size");
  JsonFields size = fields.Object("size");
  const auto pixels = [&](const char* key, const char* size_key, int64_t fallback) {
    if (fields.Has(key)) return fields.Int(key, 0, 1, kMaxPixels);
    if (has_size && !size.Has(size_key)) size.Fail(size_key, "is missing");
    return size.Int(size_key, fallback, 1, kMaxPixels);
  };
  c.min_pixels = pixels("min_pixels", "shortest_edge", 56 * 56);
  c.max_pixels = pixels("max_pixels", "longest_edge", 28 * 28 * 1280);
  if (c.min_pixels > c.max_pixels) {
    fields.Fail("size",
                absl::StrCat("asks for at least ", c.min_pixels, " pixels and at most ", c.max_pixels));
  }
  if (c.max_pixels < int64_t{c.token_size()} * c.token_size()) {
    fields.Fail("size", absl::StrCat("allows at most ", c.max_pixels, " pixels, less than a visual token of ",
                                     c.token_size(), " x ", c.token_size()));
  }
  fields.Neutral("do_resize", true);
  c.filter = ReadFilter(fields);
  c.normalization = NormalizationConfig::Read(fields);
  if (!fields.status().ok()) return fields.status();
  return c;
}

}  // namespace

absl::StatusOr<Qwen2VlImageProcessorConfig> Qwen2VlImageProcessorConfig::Load(
    const std::filesystem::path& model_dir) {
  ASSIGN_OR_RETURN(const ProcessorFile file, ProcessorFile::Load(model_dir));
  JsonFields fields = file.fields();
  return ReadConfig(fields);
}

absl::StatusOr<Qwen2VlImageProcessorConfig> Qwen2VlImageProcessorConfig::Parse(const nlohmann::json& config) {
  JsonFields fields(config, ProcessorFile::kPreprocessorFile);
  return ReadConfig(fields);
}

Qwen2VlImageProcessor::Qwen2VlImageProcessor(const Qwen2VlImageProcessorConfig& config, int32_t image_token,
                                             int max_tokens)
    : config_(config),
      image_token_(image_token),
      normalization_(std::make_shared<const Normalization>(config.normalization.Table())) {
  if (max_tokens > 0) {
    const int64_t most = int64_t{max_tokens} * config.token_size() * config.token_size();
    config_.max_pixels = std::min(config_.max_pixels, most);
    config_.min_pixels = std::min(config_.min_pixels, config_.max_pixels);
  }
}

// smart_resize, in its order of operations: rounding decides.
Qwen2VlImageProcessor::Grid Qwen2VlImageProcessor::GridOf(int width, int height) const {
  const double size = config_.token_size();
  const double pixels = static_cast<double>(width) * height;
  // To the nearest, halves to even, as Python rounds.
  double rows = std::nearbyint(height / size);
  double cols = std::nearbyint(width / size);
  const double resized = rows * size * cols * size;
  if (resized > static_cast<double>(config_.max_pixels)) {
    const double beta = std::sqrt(pixels / static_cast<double>(config_.max_pixels));
    rows = std::max(1.0, std::floor(height / beta / size));
    cols = std::max(1.0, std::floor(width / beta / size));
  } else if (resized < static_cast<double>(config_.min_pixels)) {
    const double beta = std::sqrt(static_cast<double>(config_.min_pixels) / pixels);
    rows = std::ceil(height * beta / size);
    cols = std::ceil(width * beta / size);
  }
  return {.rows = static_cast<int>(rows), .cols = static_cast<int>(cols)};
}

ImageShape Qwen2VlImageProcessor::ShapeOf(const Grid& grid) const {
  return {.height = grid.rows * config_.token_size(),
          .width = grid.cols * config_.token_size(),
          .layout =
              std::make_shared<const ImageLayout>(grid.rows * grid.cols, image_token_, grid.rows, grid.cols)};
}

absl::StatusOr<ImageProcessor::Plan> Qwen2VlImageProcessor::MakePlan(int width, int height,
                                                                     int orientation) const {
  if (IsTransposed(orientation)) std::swap(width, height);
  if (std::max(width, height) > int64_t{kMaxAspectRatio} * std::min(width, height)) {
    return absl::InvalidArgumentError(
        absl::StrFormat("image: %d x %d pixels are too long and thin: one side is more than %d times as long "
                        "as the other; cut it",
                        width, height, kMaxAspectRatio));
  }
  const Grid grid = GridOf(width, height);
  Plan plan{.resize = {.orientation = orientation,
                       .x = WholeAxis(width, grid.cols * config_.token_size()),
                       .y = WholeAxis(height, grid.rows * config_.token_size()),
                       .filter = config_.filter}};
  plan.image_bytes = int64_t{3} * plan.resize.x.count * plan.resize.y.count;
  plan.bytes = ResizeBytes(plan.resize) + plan.image_bytes;
  return plan;
}

absl::StatusOr<ProcessedImage> Qwen2VlImageProcessor::Process(
    const Plan& plan, absl::FunctionRef<absl::Status(RowSink& rows)> read) const {
  const std::unique_ptr<ImageResizer> resizer = ImageResizer::Create(plan.resize);
  RETURN_IF_ERROR(read(*resizer));
  RgbImage resized = resizer->Finish();
  ProcessedImage processed{
      .height = resized.height,
      .width = resized.width,
      .rgb = std::move(resized.rgb),
      .normalization = normalization_,
      .region = plan.region,
      .layout =
          ShapeOf({resized.height / config_.token_size(), resized.width / config_.token_size()}).layout};
  processed.digest = DigestOf(processed);
  return processed;
}

ImageShape Qwen2VlImageProcessor::smallest() const {
  const int64_t token_pixels = int64_t{config_.token_size()} * config_.token_size();
  const int64_t fewest = (config_.min_pixels + token_pixels - 1) / token_pixels;
  // Rounding both sides down leaves more than a quarter of the most pixels.
  const bool reached = config_.max_pixels >= 4 * config_.min_pixels;
  return ShapeOf({.rows = 1, .cols = reached ? static_cast<int>(fewest) : 1});
}

ImageShape Qwen2VlImageProcessor::largest() const {
  const int64_t token_pixels = int64_t{config_.token_size()} * config_.token_size();
  const int64_t most = std::max<int64_t>(config_.max_pixels / token_pixels, 1);
  // One row of tokens is as long as the aspect ratio allows, even if that are too many pixels.
  const double row =
      std::sqrt(static_cast<double>(kMaxAspectRatio) * static_cast<double>(config_.max_pixels));
  Grid largest{
      .rows = 1,
      .cols = std::clamp(static_cast<int>(std::ceil(row / config_.token_size())), 1, kMaxAspectRatio)};
  for (int64_t rows = 1; rows * rows <= most; ++rows) {
    // Sides are rounded, so that one visual token may stand for half as much more.
    const int64_t cols = std::min(most / rows, rows * kMaxAspectRatio * 3 / 2);
    if (rows * cols >= int64_t{largest.rows} * largest.cols)
      largest = {.rows = static_cast<int>(rows), .cols = static_cast<int>(cols)};
  }
  return ShapeOf(largest);
}

}  // namespace varserve::image
