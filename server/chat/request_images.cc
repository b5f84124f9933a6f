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

// The image with its share of the memory, which the last reference gives back.
std::shared_ptr<const ProcessedImage> WithMemory(std::shared_ptr<const ProcessedImage> image,
                                                 ByteBudget::Lease memory) {
  struct Held {
    std::shared_ptr<const ProcessedImage> image;
    ByteBudget::Lease memory;
  };
  const auto held = std::make_shared<const Held>(Held{std::move(image), std::move(memory)});
  return {held, held->image.get()};
}

absl::StatusOr<Preprocessor::ImageMemory> Measure(const Preprocessor& preprocessor, const EncodedImage& image,
                                                  const image::ImageLimits& limits, int num_images) {
  if (image.kept != nullptr)
    return Preprocessor::ImageMemory{.kept = static_cast<int64_t>(image.kept->rgb.size())};
  const auto cost = preprocessor.MeasureImage(image.bytes, limits, num_images);
  if (!cost.ok()) return Named(image, cost.status());
  return cost;
}

}  // namespace

absl::StatusOr<std::vector<std::shared_ptr<const ProcessedImage>>> ProcessImages(
    const Preprocessor& preprocessor, absl::Span<const EncodedImage> images, const image::ImageLimits& limits,
    ByteBudget& memory, Stop stop,
    absl::FunctionRef<void(size_t index, const std::shared_ptr<const ProcessedImage>& image)> on_decoded) {
  std::vector<std::shared_ptr<const ProcessedImage>> processed;
  if (images.empty()) return processed;

  // 1. What it takes, by the headers. Nothing is held yet.
  const auto num_images = static_cast<int>(images.size());
  std::vector<Preprocessor::ImageMemory> costs;
  for (const EncodedImage& image : images) {
    ASSIGN_OR_RETURN(costs.emplace_back(), Measure(preprocessor, image, limits, num_images));
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

  // 2. All at once: a waiting request holds nothing.
  ASSIGN_OR_RETURN(ByteBudget::Lease lease, memory.Acquire(needed_from(0), stop));
  for (size_t i = 0; i < images.size(); ++i) {
    std::shared_ptr<const ProcessedImage> image = images[i].kept;
    if (image == nullptr) {
      auto decoded = preprocessor.ProcessImage(images[i].bytes, limits, stop, num_images);
      if (!decoded.ok()) return Named(images[i], decoded.status());
      image = *std::move(decoded);
      on_decoded(i, image);
    }
    processed.push_back(WithMemory(std::move(image), lease.Split(costs[i].kept)));
    lease.ShrinkTo(needed_from(i + 1));
  }
  return processed;
}

}  // namespace varserve::chat
