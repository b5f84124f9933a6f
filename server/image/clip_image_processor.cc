#include "server/image/clip_image_processor.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/image/black_frame.h"

namespace varserve::image {
namespace {

// A picture this long and thin is a line, of which the crop keeps nothing. Only what is kept is computed, so
// memory is no concern, but the time to find the weights is.
constexpr int64_t kMaxResizedEdge = int64_t{1} << 23;

// Along one axis: the part of the resized picture that is kept.
struct Crop {
  int64_t begin = 0;
  int size = 0;
};

Crop CenterCrop(int64_t resized, int cropped) {
  if (resized >= cropped) return {(resized - cropped) / 2, cropped};
  return {0, static_cast<int>(resized)};
}

// Along one axis: where the grid begins and ends in the picture, as shares of the picture's size.
std::pair<float, float> SeenPart(const ResizeAxis& axis, int cropped, int64_t grid) {
  const double scale = static_cast<double>(axis.canvas) / axis.resized;  // canvas pixels per resized pixel
  const auto share = [&](int64_t resized_pixel) {
    return static_cast<float>((static_cast<double>(resized_pixel) * scale - axis.offset) / axis.size);
  };
  const int64_t begin = axis.first - BlackBefore(axis.count, cropped);
  return {share(begin), share(begin + grid)};
}

}  // namespace

ClipImageProcessor::ClipImageProcessor(const ClipImageProcessorConfig& config,
                                       std::shared_ptr<const ImageLayout> layout, int token_size)
    : config_(config),
      shape_{.height = config.height(), .width = config.width(), .layout = std::move(layout)},
      grid_{shape_.height, shape_.width},
      normalization_(std::make_shared<const Normalization>(config.normalization.Table())) {
  if (token_size > 0) grid_ = {shape_.layout->rows * token_size, shape_.layout->cols * token_size};
  for (int c = 0; c < 3; ++c) {
    padding_color_[c] = static_cast<uint8_t>(std::clamp(config.normalization.mean[c] * 255.0, 0.0, 255.0));
  }
}

ClipImageProcessor::Size ClipImageProcessor::ResizedSize(const Size& canvas) const {
  if (!config_.do_resize) return canvas;
  if (!config_.shortest_edge.has_value()) return {config_.resize_height, config_.resize_width};
  const int64_t edge = *config_.shortest_edge;
  if (canvas.width <= canvas.height) return {edge * canvas.height / canvas.width, edge};
  return {edge, edge * canvas.width / canvas.height};
}

absl::StatusOr<ClipImageProcessor::Plan> ClipImageProcessor::MakePlan(int width, int height,
                                                                      int orientation) const {
  if (IsTransposed(orientation)) std::swap(width, height);
  const int edge = std::max(width, height);
  const Size canvas = config_.pad_to_square ? Size{edge, edge} : Size{height, width};
  const Size resized = ResizedSize(canvas);
  if (edge > kLongestSide || std::max(resized.height, resized.width) > kMaxResizedEdge) {
    return TooLongAndThin(width, height);
  }
  const auto axis = [](int size, int64_t canvas, int64_t resized, int cropped) {
    const Crop crop = CenterCrop(resized, cropped);
    return ResizeAxis{.size = size,
                      .canvas = static_cast<int>(canvas),
                      .offset = static_cast<int>(canvas - size) / 2,
                      .resized = resized,
                      .first = crop.begin,
                      .count = crop.size};
  };
  Plan plan{.resize = {.orientation = orientation,
                       .x = axis(width, canvas.width, resized.width, shape_.width),
                       .y = axis(height, canvas.height, resized.height, shape_.height),
                       .filter = config_.filter,
                       .padding = padding_color_}};
  std::tie(plan.region.left, plan.region.right) = SeenPart(plan.resize.x, shape_.width, grid_.width);
  std::tie(plan.region.top, plan.region.bottom) = SeenPart(plan.resize.y, shape_.height, grid_.height);
  plan.image_bytes = int64_t{3} * shape_.height * shape_.width;
  plan.bytes = ResizeBytes(plan.resize) + plan.image_bytes;
  return plan;
}

absl::StatusOr<ProcessedImage> ClipImageProcessor::Process(
    const Plan& plan, absl::FunctionRef<absl::Status(RowSink& rows)> read) const {
  RgbImage part;
  {
    const std::unique_ptr<ImageResizer> resizer = ImageResizer::Create(plan.resize);
    RETURN_IF_ERROR(read(*resizer));
    part = resizer->Finish();
  }
  ProcessedImage processed{.height = shape_.height,
                           .width = shape_.width,
                           .normalization = normalization_,
                           .region = plan.region,
                           .layout = shape_.layout};
  processed.rgb = FrameInBlack(std::move(part), shape_.width, shape_.height).rgb;
  processed.digest = DigestOf(processed);
  return processed;
}

}  // namespace varserve::image
