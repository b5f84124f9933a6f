// Makes the vision tower's input of a decoded picture, as the Hugging Face image processor the model was
// trained with does (CLIPImageProcessor, LlavaImageProcessor, BitImageProcessor): pad to a square, resize,
// crop the center, rescale, normalize. All results have the same size. Thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"
#include "server/base/json_fields.h"
#include "server/base/prompt.h"
#include "server/image/image_resize.h"
#include "server/image/rgb_image.h"

namespace varserve::image {

class ImageProcessor {
 public:
  // Reads processor_config.json (its image_processor), else preprocessor_config.json. Errors name file and
  // field.
  static absl::StatusOr<ImageProcessor> Load(const std::filesystem::path& model_dir);

  // `config` as preprocessor_config.json has it. FAILED_PRECONDITION for whatever would change pixels in a
  // way that is not known here, and where pictures would come out in different sizes.
  static absl::StatusOr<ImageProcessor> FromConfig(const nlohmann::json& config);

  // How a picture is processed.
  struct Plan {
    ResizePlan resize;
    ImageRegion region;
    int64_t bytes = 0;  // that this takes at its peak, the result included
  };

  // For a picture stored as width x height pixels. INVALID_ARGUMENT beginning with "image" if it is so long
  // and thin that resizing it makes no sense.
  absl::StatusOr<Plan> MakePlan(int width, int height, int orientation) const;

  // `read` hands on all rows of the picture, or says why not.
  absl::StatusOr<ProcessedImage> Process(const Plan& plan,
                                         absl::FunctionRef<absl::Status(RowSink& rows)> read) const;
  absl::StatusOr<ProcessedImage> Process(const RgbImage& image) const;

  // Pixels of every processed image, and the bytes it takes.
  int height() const { return height_; }
  int width() const { return width_; }
  int64_t image_bytes() const { return int64_t{3} * height_ * width_; }

 private:
  struct Size {
    int64_t height = 0;
    int64_t width = 0;
  };

  ImageProcessor() = default;
  static absl::StatusOr<ImageProcessor> FromFields(JsonFields& fields);

  // Size to resize a canvas to, before cropping.
  Size ResizedSize(const Size& canvas) const;

  bool pad_to_square_ = false;
  Rgb padding_color_{};
  bool resize_ = true;
  std::optional<int> shortest_edge_;  // else resized to resize_height_ x resize_width_
  int resize_height_ = 0;
  int resize_width_ = 0;
  ResizeFilter filter_ = ResizeFilter::kBicubic;
  int height_ = 0;
  int width_ = 0;
  std::shared_ptr<const Normalization> normalization_;
};

}  // namespace varserve::image
