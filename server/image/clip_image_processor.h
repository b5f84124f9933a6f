// The Hugging Face image processors whose results all have one size (CLIPImageProcessor, LlavaImageProcessor,
// BitImageProcessor): pad to a square, resize, crop the center, rescale, normalize. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>

#include "server/image/clip_image_processor_config.h"
#include "server/image/image_processor.h"

namespace varserve::image {

class ClipImageProcessor : public ImageProcessor {
 public:
  // `layout` is that of every image. token_size: pixels of a visual token, down and across, where the grid
  // begins with the image but ends elsewhere; 0: the grid is the image.
  ClipImageProcessor(const ClipImageProcessorConfig& config, std::shared_ptr<const ImageLayout> layout,
                     int token_size = 0);

  using ImageProcessor::Process;
  absl::StatusOr<Plan> MakePlan(int width, int height, int orientation) const override;
  absl::StatusOr<ProcessedImage> Process(const Plan& plan,
                                         absl::FunctionRef<absl::Status(RowSink& rows)> read) const override;
  ImageShape smallest() const override { return shape_; }
  ImageShape largest() const override { return shape_; }

 private:
  struct Size {
    int64_t height = 0;
    int64_t width = 0;
  };

  // Size to resize a canvas to, before cropping.
  Size ResizedSize(const Size& canvas) const;

  ClipImageProcessorConfig config_;
  ImageShape shape_;
  Size grid_;  // pixels
  Rgb padding_color_{};
  std::shared_ptr<const Normalization> normalization_;
};

}  // namespace varserve::image
