#include "server/model/image_features.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace varserve::model {

void ImageFeatures::Encode(const VisionLanguageModel& model, const engine::StepPlan& plan) {
  for (const engine::SequenceStep& step : plan.steps) {
    for (const int image : step.encode_images) {
      features_[step.sequence][image] = model.EncodeImage(*step.request->prompt->images[image]);
    }
  }
}

void ImageFeatures::Place(const engine::SequenceStep& step, int64_t first, at::Tensor& embeddings) const {
  const std::vector<ImageSpan>& spans = step.request->prompt->spans;
  for (size_t i = 0; i < spans.size(); ++i) {
    const int begin = std::max(spans[i].begin, step.begin);
    const int end = std::min(spans[i].end, step.end);
    if (begin >= end) continue;
    const at::Tensor& features = features_.at(step.sequence).at(static_cast<int>(i));  // [T, C]
    embeddings.narrow(0, first + begin - step.begin, end - begin)
        .copy_(features.narrow(0, begin - spans[i].begin, end - begin));
  }
}

void ImageFeatures::ReleaseComputed(const engine::SequenceStep& step) {
  const auto features = features_.find(step.sequence);
  if (features == features_.end()) return;
  const std::vector<ImageSpan>& spans = step.request->prompt->spans;
  for (size_t image = 0; image < spans.size(); ++image) {
    if (spans[image].end <= step.end) features->second.erase(static_cast<int>(image));
  }
}

}  // namespace varserve::model
