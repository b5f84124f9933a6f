// Makes the vision tower's input of a decoded picture, and lays out the image's tokens in the prompt. Each
// model family has one (model/families). Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/prompt.h"
#include "server/image/image_resize.h"
#include "server/image/rgb_image.h"

namespace varserve::image {

// The tokens of a text that a processor writes, with the special tokens that are in it.
using TextEncoder = absl::FunctionRef<absl::StatusOr<std::vector<int32_t>>(absl::string_view text)>;

// A size that processed images have.
struct ImageShape {
  int height = 0;  // pixels; of a tile, where the vision tower sees images in tiles
  int width = 0;   // pixels
  int tiles = 1;
  std::shared_ptr<const ImageLayout> layout;
};

// What an image's visual tokens depend on: the value of ProcessedImage::digest.
Digest DigestOf(const ProcessedImage& image);

// The longest side that a picture may have: the time to find the weights of a longer one is a concern.
inline constexpr int kLongestSide = 1 << 17;  // pixels
// INVALID_ARGUMENT: the error of a picture that is too long and thin to be resized.
absl::Status TooLongAndThin(int width, int height);

class ImageProcessor {
 public:
  virtual ~ImageProcessor() = default;

  // How a picture is processed.
  struct Plan {
    ResizePlan resize;
    ImageRegion region;
    int64_t image_bytes = 0;  // of the processed image
    int64_t bytes = 0;        // that processing takes at its peak, the processed image included
  };

  // For a picture stored as width x height pixels. INVALID_ARGUMENT beginning with "image" if it is too long
  // and thin to be resized.
  virtual absl::StatusOr<Plan> MakePlan(int width, int height, int orientation) const = 0;

  // `read` passes on all rows of the picture, or returns an error.
  virtual absl::StatusOr<ProcessedImage> Process(
      const Plan& plan, absl::FunctionRef<absl::Status(RowSink& rows)> read) const = 0;
  absl::StatusOr<ProcessedImage> Process(const RgbImage& image) const;

  // For a picture that is one of `num_images` in its conversation.
  virtual const ImageProcessor& For(int /*num_images*/) const { return *this; }

  // Of all images: the one with the fewest tokens, and the one for which memory is planned.
  virtual ImageShape smallest() const = 0;
  virtual ImageShape largest() const = 0;
};

}  // namespace varserve::image
