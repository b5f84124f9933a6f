#include "server/image/image_processor.h"

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"
#include "server/base/digest.h"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"
#include "server/image/image_processor_config.h"

namespace varserve::image {
namespace {

constexpr char kProcessorFile[] = "processor_config.json";
constexpr char kNested[] = "image_processor";
constexpr char kPreprocessorFile[] = "preprocessor_config.json";

// A picture this long and thin is a line, of which the crop keeps nothing. Only what is kept is computed, so
// memory is no concern, but the time to find the weights is.
constexpr int kMaxEdge = 1 << 17;
constexpr int64_t kMaxResizedEdge = int64_t{1} << 23;

Digest DigestOf(const ProcessedImage& image) {
  const int32_t size[] = {image.height, image.width};
  return Sha256({{reinterpret_cast<const char*>(size), sizeof(size)},
                 {reinterpret_cast<const char*>(image.normalization->data()), sizeof(Normalization)},
                 {reinterpret_cast<const char*>(image.rgb.data()), image.rgb.size()}});
}

// Along one axis: the part of the resized picture that is kept.
struct Crop {
  int64_t begin = 0;
  int size = 0;
};

Crop CenterCrop(int64_t resized, int cropped) {
  if (resized >= cropped) return {(resized - cropped) / 2, cropped};
  return {0, static_cast<int>(resized)};
}

// Along one axis: pixels of black before a part that is smaller than the crop.
int BlackBefore(int part, int cropped) { return (cropped - part) / 2; }

// Along one axis: where the processed image begins and ends in the picture, as shares of the picture's size.
std::pair<float, float> SeenPart(const ResizeAxis& axis, int cropped) {
  const double scale = static_cast<double>(axis.canvas) / axis.resized;  // canvas pixels per resized pixel
  const auto share = [&](int64_t resized_pixel) {
    return static_cast<float>((static_cast<double>(resized_pixel) * scale - axis.offset) / axis.size);
  };
  const int64_t begin = axis.first - BlackBefore(axis.count, cropped);
  return {share(begin), share(begin + cropped)};
}

// [height, width, 3]
std::vector<uint8_t> FrameInBlack(const RgbImage& part, int width, int height) {
  std::vector<uint8_t> framed(static_cast<size_t>(height) * width * 3);
  const size_t row_size = static_cast<size_t>(part.width) * 3;
  const size_t top = BlackBefore(part.height, height);
  const size_t left = BlackBefore(part.width, width);
  for (size_t y = 0; y < static_cast<size_t>(part.height); ++y) {
    std::copy_n(&part.rgb[y * row_size], row_size, &framed[((top + y) * width + left) * 3]);
  }
  return framed;
}

}  // namespace

absl::StatusOr<ImageProcessor> ImageProcessor::Load(const std::filesystem::path& model_dir) {
  for (const char* file : {kProcessorFile, kPreprocessorFile}) {
    const absl::StatusOr<nlohmann::json> json = ReadModelJson(model_dir, file);
    if (absl::IsNotFound(json.status())) continue;
    if (!json.ok()) return json.status();
    JsonFields fields(*json, file);
    if (file == kPreprocessorFile) return FromFields(fields);
    if (!fields.Has(kNested)) continue;
    JsonFields nested = fields.Object(kNested);
    return FromFields(nested);
  }
  return absl::NotFoundError(absl::StrCat("image processor: neither ", kPreprocessorFile, " nor an ", kNested,
                                          " in ", kProcessorFile, " found in the model directory ",
                                          model_dir.string()));
}

absl::StatusOr<ImageProcessor> ImageProcessor::FromConfig(const nlohmann::json& config) {
  JsonFields fields(config, kPreprocessorFile);
  return FromFields(fields);
}

absl::StatusOr<ImageProcessor> ImageProcessor::FromFields(JsonFields& fields) {
  ASSIGN_OR_RETURN(const ImageProcessorConfig config, ParseImageProcessorConfig(fields));
  ImageProcessor processor;
  processor.pad_to_square_ = config.pad_to_square;
  processor.resize_ = config.do_resize;
  processor.filter_ = config.filter;
  processor.shortest_edge_ = config.shortest_edge;
  processor.resize_height_ = config.resize_height;
  processor.resize_width_ = config.resize_width;
  if (config.do_center_crop) {
    processor.height_ = config.crop_height;
    processor.width_ = config.crop_width;
  } else if (config.do_resize && !config.shortest_edge.has_value()) {
    processor.height_ = config.resize_height;
    processor.width_ = config.resize_width;
  } else {  // of a square
    processor.height_ = processor.width_ = *config.shortest_edge;
  }
  Normalization normalization;
  for (int c = 0; c < 3; ++c) {
    processor.padding_color_[c] = static_cast<uint8_t>(std::clamp(config.mean[c] * 255.0, 0.0, 255.0));
    for (int value = 0; value < 256; ++value) normalization[c][value] = config.Normalize(c, value);
  }
  processor.normalization_ = std::make_shared<const Normalization>(normalization);
  return processor;
}

ImageProcessor::Size ImageProcessor::ResizedSize(const Size& canvas) const {
  if (!resize_) return canvas;
  if (!shortest_edge_.has_value()) return {resize_height_, resize_width_};
  const int64_t edge = *shortest_edge_;
  if (canvas.width <= canvas.height) return {edge * canvas.height / canvas.width, edge};
  return {edge, edge * canvas.width / canvas.height};
}

absl::StatusOr<ImageProcessor::Plan> ImageProcessor::MakePlan(int width, int height, int orientation) const {
  if (IsTransposed(orientation)) std::swap(width, height);
  const int edge = std::max(width, height);
  const Size canvas = pad_to_square_ ? Size{edge, edge} : Size{height, width};
  const Size resized = ResizedSize(canvas);
  if (edge > kMaxEdge || std::max(resized.height, resized.width) > kMaxResizedEdge) {
    return absl::InvalidArgumentError(
        absl::StrFormat("image: %d x %d pixels are too long and thin to be resized; cut it", width, height));
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
                       .x = axis(width, canvas.width, resized.width, width_),
                       .y = axis(height, canvas.height, resized.height, height_),
                       .filter = filter_,
                       .padding = padding_color_}};
  std::tie(plan.region.left, plan.region.right) = SeenPart(plan.resize.x, width_);
  std::tie(plan.region.top, plan.region.bottom) = SeenPart(plan.resize.y, height_);
  plan.bytes = ResizeBytes(plan.resize) + image_bytes();
  return plan;
}

absl::StatusOr<ProcessedImage> ImageProcessor::Process(
    const Plan& plan, absl::FunctionRef<absl::Status(RowSink& rows)> read) const {
  RgbImage part;
  {
    const std::unique_ptr<ImageResizer> resizer = ImageResizer::Create(plan.resize);
    RETURN_IF_ERROR(read(*resizer));
    part = resizer->Finish();
  }
  ProcessedImage processed{
      .height = height_, .width = width_, .normalization = normalization_, .region = plan.region};
  if (part.height == height_ && part.width == width_) {
    processed.rgb = std::move(part.rgb);
  } else {
    processed.rgb = FrameInBlack(part, width_, height_);
  }
  processed.digest = DigestOf(processed);
  return processed;
}

absl::StatusOr<ProcessedImage> ImageProcessor::Process(const RgbImage& image) const {
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(image.width, image.height, /*orientation=*/1));
  return Process(plan, [&](RowSink& rows) {
    for (int y = 0; y < image.height; ++y) rows.AddRow(&image.rgb[static_cast<size_t>(y) * image.width * 3]);
    return absl::OkStatus();
  });
}

}  // namespace varserve::image
