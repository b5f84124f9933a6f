#include "server/preprocess/image_processor.h"

#include <openssl/evp.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "nlohmann/json.hpp"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"
#include "server/preprocess/image_processor_config.h"

namespace varserve::preprocess {
namespace {

constexpr char kProcessorFile[] = "processor_config.json";
constexpr char kNested[] = "image_processor";
constexpr char kPreprocessorFile[] = "preprocessor_config.json";

// A picture this long and thin is a line, of which the crop keeps nothing. Only what is kept is computed, so
// memory is no concern, but time is: of finding the weights, and of resizing rows, padded ones above all.
constexpr int kMaxEdge = 1 << 17;
constexpr int64_t kMaxResizedEdge = int64_t{1} << 23;
constexpr int64_t kMaxPaddedPixels = int64_t{1} << 27;

Digest DigestOf(const ProcessedImage& image) {
  Digest digest{};
  const int32_t size[] = {image.height, image.width};
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  EVP_DigestInit_ex(context, EVP_sha256(), nullptr);
  EVP_DigestUpdate(context, size, sizeof(size));
  EVP_DigestUpdate(context, image.pixels.data(), image.pixels.size() * sizeof(float));
  EVP_DigestFinal_ex(context, digest.data(), nullptr);
  EVP_MD_CTX_free(context);
  return digest;
}

// Along one axis: which part of the resized picture is kept, and how many pixels of padding stand before it.
struct Crop {
  int64_t begin = 0;
  int size = 0;
  int padding = 0;
};

Crop CenterCrop(int64_t resized, int cropped) {
  if (resized >= cropped) return {(resized - cropped) / 2, cropped, 0};
  return {0, static_cast<int>(resized), (cropped - static_cast<int>(resized)) / 2};
}

// Along one axis: where the processed image begins and ends in the picture, as shares of the picture's size.
// `scale`: canvas pixels per resized pixel; the picture lies at `offset` on the canvas.
std::pair<float, float> SeenPart(const Crop& crop, int cropped, double scale, int offset, int size) {
  const auto share = [&](int64_t resized_pixel) {
    return static_cast<float>((static_cast<double>(resized_pixel) * scale - offset) / size);
  };
  const int64_t begin = crop.begin - crop.padding;
  return {share(begin), share(begin + cropped)};
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
  for (int c = 0; c < 3; ++c) {
    processor.padding_color_[c] = static_cast<uint8_t>(std::clamp(config.mean[c] * 255.0, 0.0, 255.0));
    for (int value = 0; value < 256; ++value) processor.normalized_[c][value] = config.Normalize(c, value);
  }
  return processor;
}

absl::StatusOr<ProcessedImage> ImageProcessor::Process(const RgbImage& image) const {
  ProcessedImage processed;
  ASSIGN_OR_RETURN(const RgbImage cropped, ResizeAndCrop(image, &processed.region));
  processed.height = height_;
  processed.width = width_;
  const size_t num_pixels = static_cast<size_t>(height_) * width_;
  processed.pixels.resize(num_pixels * 3);
  for (int c = 0; c < 3; ++c) {
    float* const plane = processed.pixels.data() + c * num_pixels;
    for (size_t i = 0; i < num_pixels; ++i) plane[i] = normalized_[c][cropped.rgb[i * 3 + c]];
  }
  processed.digest = DigestOf(processed);
  return processed;
}

Canvas ImageProcessor::Pad(const RgbImage& image) const {
  if (!pad_to_square_) return {&image, image.width, image.height};
  const int edge = std::max(image.width, image.height);
  return {&image, edge, edge, (edge - image.width) / 2, (edge - image.height) / 2, padding_color_};
}

ImageProcessor::Size ImageProcessor::ResizedSize(const Canvas& canvas) const {
  if (!resize_) return {canvas.height, canvas.width};
  if (!shortest_edge_.has_value()) return {resize_height_, resize_width_};
  const int64_t edge = *shortest_edge_;
  if (canvas.width <= canvas.height) return {edge * canvas.height / canvas.width, edge};
  return {edge, edge * canvas.width / canvas.height};
}

absl::StatusOr<RgbImage> ImageProcessor::ResizeAndCrop(const RgbImage& image, ImageRegion* region) const {
  const Canvas canvas = Pad(image);
  const Size resized = ResizedSize(canvas);
  const bool is_padded = canvas.width != image.width || canvas.height != image.height;
  if (std::max(image.height, image.width) > kMaxEdge ||
      std::max(resized.height, resized.width) > kMaxResizedEdge ||
      (is_padded && static_cast<int64_t>(canvas.width) * canvas.height > kMaxPaddedPixels)) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "image: %d x %d pixels are too long and thin to be resized; cut it", image.width, image.height));
  }
  const Crop rows = CenterCrop(resized.height, height_);
  const Crop cols = CenterCrop(resized.width, width_);
  std::tie(region->left, region->right) =
      SeenPart(cols, width_, static_cast<double>(canvas.width) / resized.width, canvas.left, image.width);
  std::tie(region->top, region->bottom) =
      SeenPart(rows, height_, static_cast<double>(canvas.height) / resized.height, canvas.top, image.height);
  RgbImage part = ResizeWindow(canvas, resized.width, resized.height, filter_,
                               {cols.begin, rows.begin, cols.size, rows.size});
  if (rows.size == height_ && cols.size == width_) return part;
  RgbImage padded{width_, height_, std::vector<uint8_t>(static_cast<size_t>(height_) * width_ * 3)};  // black
  for (int y = 0; y < rows.size; ++y) {
    std::copy_n(part.rgb.data() + static_cast<size_t>(y) * cols.size * 3, static_cast<size_t>(cols.size) * 3,
                padded.rgb.data() + (static_cast<size_t>(rows.padding + y) * width_ + cols.padding) * 3);
  }
  return padded;
}

}  // namespace varserve::preprocess
