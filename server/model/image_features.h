// Images' tokens between the vision tower and the prefill that takes them in. Engine thread only.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <vector>

#include "absl/status/status.h"
#include "server/engine/step_plan.h"
#include "server/model/image_encoding_thread.h"
#include "server/model/vision_language_model.h"

namespace varserve::model {

class ImageFeatures {
 public:
  // `model` must outlive the object.
  explicit ImageFeatures(const VisionLanguageModel& model) : encodings_(model) {}

  // Begins to encode the images that later steps need.
  void EncodeAhead(const engine::StepPlan& plan);
  // Those that are ready since the last call.
  std::vector<engine::ImageRef> TakeEncoded() { return encodings_.TakeEncoded(); }
  // Has the images that steps of the plan ask for: waits until they are encoded, those that were not begun,
  // too.
  absl::Status Encode(const engine::StepPlan& plan);
  // Writes the images' tokens of a step over the embeddings of their placeholders, and appends what later
  // layers add to their hidden states to `deepstack`. `first` is the step's first row of `embeddings` [N, C].
  void Place(const engine::SequenceStep& step, int64_t first, at::Tensor& embeddings,
             std::vector<DeepstackRows>& deepstack) const;

  // Images whose last token the step computed: their K and V are in the cache.
  void ReleaseComputed(const engine::SequenceStep& step);
  void Release(engine::SequenceId sequence);

 private:
  ImageEncodingThread encodings_;
  std::map<engine::SequenceId, std::map<int, EncodedImage>> features_;  // sequence -> image
};

}  // namespace varserve::model
