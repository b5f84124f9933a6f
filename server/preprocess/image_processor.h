// Makes the vision tower's input of a decoded picture, as the Hugging Face image processor the model was
// trained with does (CLIPImageProcessor, LlavaImageProcessor, BitImageProcessor): pad to a square, resize,
// crop the center, rescale, normalize. All results have the same size. Thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"
#include "server/base/json_fields.h"
#include "server/base/prompt.h"
#include "server/preprocess/image_resize.h"
#include "server/preprocess/rgb_image.h"

namespace varserve::preprocess {

class ImageProcessor {
 public:
  // Reads processor_config.json (its image_processor), else preprocessor_config.json. Errors name file and
  // field.
  static absl::StatusOr<ImageProcessor> Load(const std::filesystem::path& model_dir);

  // `config` as preprocessor_config.json has it. FAILED_PRECONDITION for whatever would change pixels in a
  // way that is not known here, and where pictures would come out in different sizes.
  static absl::StatusOr<ImageProcessor> FromConfig(const nlohmann::json& config);

  // INVALID_ARGUMENT beginning with "image" if the picture is so long and thin that resizing it makes no
  // sense.
  absl::StatusOr<ProcessedImage> Process(const RgbImage& image) const;

  // Pixels of every processed image.
  int height() const { return height_; }
  int width() const { return width_; }

 private:
  struct Size {
    int64_t height = 0;
    int64_t width = 0;
  };

  ImageProcessor() = default;
  static absl::StatusOr<ImageProcessor> FromFields(JsonFields& fields);

  Canvas Pad(const RgbImage& image) const;
  // Size to resize to, before cropping.
  Size ResizedSize(const Canvas& canvas) const;
  // [height_, width_, 3], in 8 bit; sets the part of the picture it shows.
  absl::StatusOr<RgbImage> ResizeAndCrop(const RgbImage& image, ImageRegion* region) const;

  bool pad_to_square_ = false;
  std::array<uint8_t, 3> padding_color_{};
  bool resize_ = true;
  std::optional<int> shortest_edge_;  // else resized to resize_height_ x resize_width_
  int resize_height_ = 0;
  int resize_width_ = 0;
  ResizeFilter filter_ = ResizeFilter::kBicubic;
  int height_ = 0;
  int width_ = 0;
  // Rescaled and normalized value of each 8 bit value.
  std::array<std::array<float, 256>, 3> normalized_{};
};

}  // namespace varserve::preprocess
