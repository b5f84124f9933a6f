#include "server/chat/request_images.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "server/base/status_macros.h"

namespace varserve::chat {
namespace {

// A picture's own fault begins with its name.
absl::Status Named(const EncodedImage& image, const absl::Status& status) {
  if (!absl::IsInvalidArgument(status)) return status;
  return absl::InvalidArgumentError(
      absl::StrCat(image.name, ": ", absl::StripPrefix(status.message(), "image: ")));
}

}  // namespace

absl::StatusOr<std::vector<std::shared_ptr<const ProcessedImage>>> ProcessImages(
    const Preprocessor& preprocessor, absl::Span<const EncodedImage> images, const image::ImageLimits& limits,
    ByteBudget& memory, Stop stop) {
  std::vector<std::shared_ptr<const ProcessedImage>> processed;
  if (images.empty()) return processed;

  // 1. What it takes, by the headers. Nothing is held yet.
  std::vector<Preprocessor::ImageMemory> costs;
  for (const EncodedImage& image : images) {
    const auto cost = preprocessor.MeasureImage(image.bytes, limits);
    if (!cost.ok()) return Named(image, cost.status());
    costs.push_back(*cost);
  }
  const auto needed_from = [&](size_t first) {
    int64_t kept = 0;
    int64_t peak = 0;
    for (size_t i = first; i < costs.size(); ++i) {
      kept += costs[i].kept;
      peak = std::max(peak, costs[i].peak);
    }
    return kept + peak;
  };
  if (needed_from(0) > memory.size()) {
    const auto largest = std::max_element(costs.begin(), costs.end(),
                                          [](const auto& a, const auto& b) { return a.peak < b.peak; });
    return Named(images[largest - costs.begin()],
                 absl::InvalidArgumentError(absl::StrFormat(
                     "decoding it takes %d bytes, with all of the request's pictures %d, more than the "
                     "%d for pictures (--image_memory); send it smaller, or as baseline JPEG",
                     largest->peak, needed_from(0), memory.size())));
  }

  // 2. All at once: whoever waits holds nothing.
  ASSIGN_OR_RETURN(ByteBudget::Lease lease, memory.Acquire(needed_from(0), stop));
  for (size_t i = 0; i < images.size(); ++i) {
    auto image = preprocessor.ProcessImage(images[i].bytes, limits, stop, lease.Split(costs[i].kept));
    if (!image.ok()) return Named(images[i], image.status());
    processed.push_back(*std::move(image));
    lease.ShrinkTo(needed_from(i + 1));
  }
  return processed;
}

}  // namespace varserve::chat
