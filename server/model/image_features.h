// Images' tokens between the vision tower and the prefill that takes them in. Engine thread only.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <vector>

#include "server/engine/step_plan.h"
#include "server/model/vision_language_model.h"

namespace varserve::model {

class ImageFeatures {
 public:
  // Runs the vision tower on the images that steps of the plan ask for.
  void Encode(const VisionLanguageModel& model, const engine::StepPlan& plan);
  // Writes the images' tokens of a step over the embeddings of their placeholders, and appends what later
  // layers add to their hidden states to `deepstack`. `first` is the step's first row of `embeddings` [N, C].
  void Place(const engine::SequenceStep& step, int64_t first, at::Tensor& embeddings,
             std::vector<DeepstackRows>& deepstack) const;

  // Images whose last token the step computed: their K and V are in the cache.
  void ReleaseComputed(const engine::SequenceStep& step);
  void Release(engine::SequenceId sequence) { features_.erase(sequence); }

 private:
  std::map<engine::SequenceId, std::map<int, EncodedImage>> features_;  // sequence -> image
};

}  // namespace varserve::model
