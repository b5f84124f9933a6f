#include "server/engine/images_ahead.h"

#include <algorithm>

namespace varserve::engine {

bool ImagesAhead::IsReady(const ImageRef& image) const {
  const auto it = images_.find(image);
  return it != images_.end() && it->second;
}

bool ImagesAhead::HasAnyOf(SequenceId sequence) const {
  const auto it = images_.lower_bound({.sequence = sequence});
  return it != images_.end() && it->first.sequence == sequence;
}

void ImagesAhead::Begin(absl::Span<const StepPlan::Encoding> images, StepPlan& plan) {
  const auto begun = std::count_if(images.begin(), images.end(),
                                   [this](const auto& image) { return images_.contains(image.of); });
  const size_t others = images_.size() - begun;
  if (others > 0 && others + images.size() > kMost) return;
  for (const StepPlan::Encoding& image : images) {
    if (images_.emplace(image.of, false).second) plan.encode_ahead.push_back(image);
  }
}

void ImagesAhead::OnEncoded(const ImageRef& image) {
  if (const auto it = images_.find(image); it != images_.end()) it->second = true;
}

void ImagesAhead::OnPlanned(const SequenceStep& step) {
  for (const int image : step.encode_images) images_.erase({step.sequence, image});
}

void ImagesAhead::Forget(SequenceId sequence) {
  std::erase_if(images_, [sequence](const auto& entry) { return entry.first.sequence == sequence; });
}

}  // namespace varserve::engine
