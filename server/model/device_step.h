// One step on the device: its tensors, and what is computed with them.
#pragma once

#include <memory>
#include <vector>

#include "server/engine/model_runner.h"
#include "server/model/decoder.h"
#include "server/model/image_features.h"
#include "server/model/step_input.h"
#include "server/model/step_outputs.h"
#include "server/model/vision_language_model.h"

namespace varserve::model {

// Valid until the memory's next step. Embed and Forward neither wait for the device nor take memory, and read
// nothing of the plan or the input, so that they can be recorded.
class DeviceStep {
 public:
  // Sends what the device needs to it. `model` and `cache` must outlive the object.
  DeviceStep(const VisionLanguageModel& model, const engine::ModelFacts& facts, KvCache& cache,
             const engine::StepPlan& plan, const StepInput& input, backend::StepMemory& memory);

  // The embeddings of the step's tokens.
  void Embed();
  // Writes the step's visual tokens over the embeddings of their placeholders. Once, before Forward.
  void Place(const ImageFeatures& features, const engine::StepPlan& plan, const StepInput& input);
  // From the embeddings to all outputs but those of TakeLogits.
  void Forward(const Decoder::LayerObserver& observer = nullptr);
  // Sets `leading` and `whole_logits`. Nothing to do where the host reads the logits where they are.
  void TakeLogits();

  const at::Tensor& hidden() const { return buffers_.hidden; }  // [N, C]
  backend::RowEvidence& evidence() { return *evidence_; }
  const StepOutputs& outputs() const { return *outputs_; }
  const at::Tensor& logits() const { return buffers_.float_logits; }  // [S, V] float32
  // Sampled tokens that `leading` is about, [T], and whose logits are in whole_logits, [W].
  const std::vector<int64_t>& leading_rows() const { return leading_rows_; }
  const std::vector<int64_t>& whole_rows() const { return whole_rows_; }
  bool host_reads_logits() const { return model_.backend().ops().host_reads_logits(); }

 private:
  const VisionLanguageModel& model_;
  KvCache& cache_;
  DecoderInput input_;
  std::vector<at::Tensor> prefix_blocks_;
  std::vector<int64_t> leading_rows_;
  std::vector<int64_t> whole_rows_;
  at::Tensor device_leading_rows_;
  at::Tensor device_temperatures_;  // [T] float32
  at::Tensor device_whole_rows_;
  std::unique_ptr<backend::RowEvidence> evidence_;
  DecoderBuffers buffers_;
  std::unique_ptr<StepOutputs> outputs_;
};

}  // namespace varserve::model
