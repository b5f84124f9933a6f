// Images' tokens between the vision tower and the prefill that takes them in. Engine thread only.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>

#include "server/engine/step_plan.h"
#include "server/model/vision_language_model.h"

namespace varserve::model {

class ImageFeatures {
 public:
  // Runs the vision tower on the images that steps of the plan ask for.
  void Encode(const VisionLanguageModel& model, const engine::StepPlan& plan);
  // Writes the images' tokens of a step over the embeddings of their placeholders. `first` is the step's
  // first row of `embeddings` [N, C].
  void Place(const engine::SequenceStep& step, int64_t first, at::Tensor& embeddings) const;

  // Images whose last token the step computed: their K and V are in the cache.
  void ReleaseComputed(const engine::SequenceStep& step);
  void Release(engine::SequenceId sequence) { features_.erase(sequence); }

 private:
  std::map<engine::SequenceId, std::map<int, at::Tensor>>
      features_;  // sequence -> image -> [T, C], T tokens of its layout
};

}  // namespace varserve::model
