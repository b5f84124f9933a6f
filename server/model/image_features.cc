#include "server/model/image_features.h"

#include <ATen/ATen.h>

#include "server/base/visual_tokens.h"

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
    ForVisualRuns(spans[i], step.begin, step.end, [&](int position, int count, int index) {
      const at::Tensor& features = features_.at(step.sequence).at(static_cast<int>(i));  // [P, C]
      embeddings.narrow(0, first + position - step.begin, count).copy_(features.narrow(0, index, count));
    });
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
