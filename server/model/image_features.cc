#include "server/model/image_features.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "server/base/status_macros.h"
#include "server/base/visual_tokens.h"

namespace varserve::model {

void ImageFeatures::EncodeAhead(const engine::StepPlan& plan) {
  for (const engine::StepPlan::Encoding& encoding : plan.encode_ahead) encodings_.Begin(encoding);
}

absl::Status ImageFeatures::Encode(const engine::StepPlan& plan) {
  for (const engine::SequenceStep& step : plan.steps) {
    for (const int image : step.encode_images) {
      std::map<int, EncodedImage>& features = features_[step.sequence];
      if (features.contains(image)) continue;  // the step is executed again
      const engine::ImageRef of{step.sequence, image};
      encodings_.Begin({of, step.request->prompt->images[image]});
      ASSIGN_OR_RETURN(EncodedImage encoded, encodings_.Take(of));
      features[image] = std::move(encoded);
    }
  }
  return absl::OkStatus();
}

void ImageFeatures::Release(engine::SequenceId sequence) {
  features_.erase(sequence);
  encodings_.Forget(sequence);
}

void ImageFeatures::Place(const engine::SequenceStep& step, int64_t first, at::Tensor& embeddings,
                          std::vector<DeepstackRows>& deepstack) const {
  const std::vector<ImageSpan>& spans = step.request->prompt->spans;
  for (size_t i = 0; i < spans.size(); ++i) {
    const int begin = std::max(spans[i].begin, step.begin);
    const int end = std::min(spans[i].end, step.end);
    if (begin >= end) continue;
    const EncodedImage& image = features_.at(step.sequence).at(static_cast<int>(i));
    // Tokens position .. position + count - 1 of the sequence are the image's from `index` on.
    const auto place = [&](int position, int count, int index) {
      const int64_t row = first + position - step.begin;
      embeddings.narrow(0, row, count).copy_(image.embeddings.narrow(0, index, count));
      if (image.deepstack.empty()) return;
      DeepstackRows& rows = deepstack.emplace_back(DeepstackRows{.first = row, .features = {}});
      for (const at::Tensor& features : image.deepstack)
        rows.features.push_back(features.narrow(0, index, count));
    };
    if (image.embeddings.size(0) == spans[i].layout->size()) {
      place(begin, end - begin, begin - spans[i].begin);
    } else {  // tile text is embedded as all text is
      ForVisualRuns(spans[i], begin, end, place);
    }
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
