#include "server/image/image_processor.h"

#include <cstddef>

#include "server/base/status_macros.h"

namespace varserve::image {

absl::StatusOr<ProcessedImage> ImageProcessor::Process(const RgbImage& image) const {
  ASSIGN_OR_RETURN(const Plan plan, MakePlan(image.width, image.height, /*orientation=*/1));
  return Process(plan, [&](RowSink& rows) {
    for (int y = 0; y < image.height; ++y) rows.AddRow(&image.rgb[static_cast<size_t>(y) * image.width * 3]);
    return absl::OkStatus();
  });
}

}  // namespace varserve::image
