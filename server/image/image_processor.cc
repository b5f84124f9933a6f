#include "server/image/image_processor.h"

#include <cstddef>

#include "absl/strings/str_format.h"
#include "server/base/digest.h"
#include "server/base/status_macros.h"

namespace varserve::image {

Digest DigestOf(const ProcessedImage& image) {
  const JoinedTiles joined = image.layout->joined.value_or(JoinedTiles());
  const int32_t sizes[] = {image.height,     image.width,      joined.tiles.down, joined.tiles.across,
                           joined.kept_rows, joined.kept_cols, joined.rows,       joined.cols};
  return Sha256({{reinterpret_cast<const char*>(sizes), sizeof(sizes)},
                 {reinterpret_cast<const char*>(image.normalization->data()), sizeof(Normalization)},
                 {reinterpret_cast<const char*>(image.rgb.data()), image.rgb.size()}});
}

absl::Status TooLongAndThin(int width, int height) {
  return absl::InvalidArgumentError(
      absl::StrFormat("image: %d x %d pixels are too long and thin to be resized; cut it", width, height));
}

absl::StatusOr<ProcessedImage> ImageProcessor::Process(const RgbImage& image) const {
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(image.width, image.height, /*orientation=*/1));
  return Process(plan, [&](RowSink& rows) {
    for (int y = 0; y < image.height; ++y) rows.AddRow(&image.rgb[static_cast<size_t>(y) * image.width * 3]);
    return absl::OkStatus();
  });
}

}  // namespace varserve::image
