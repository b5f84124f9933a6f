// A step's results, copied to the host at once and split by sequence.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/types/span.h"
#include "server/engine/model_runner.h"
#include "server/interventions/attention_row.h"
#include "server/model/device_step.h"
#include "server/model/sampler_pool.h"
#include "server/model/step_input.h"

namespace varserve::model {

class StepResults {
 public:
  // Waits for the device. The arguments must outlive the object.
  StepResults(const engine::StepPlan& plan, const StepInput& input, const DeviceStep& step,
              const engine::ModelFacts& facts);

  // One result per SequenceStep. Samples if the plan asks for it.
  engine::StepOutput Take(SamplerPool& samplers) const;

 private:
  // All logits of a step's last token. [V]
  absl::Span<const float> LogitsOf(int64_t sampled) const;
  // Index in the plan of the sibling's step whose logits are combined with this step's; -1 if there is none.
  int SiblingOf(const engine::SequenceStep& step) const;
  void ChooseTokens(SamplerPool& samplers, engine::StepOutput& output) const;
  // For jobs whose leading tokens are not enough. Reads their logits from the device.
  void ChooseFromAll(SamplerPool& samplers, std::vector<SamplerPool::Job>& jobs) const;
  std::vector<float> PhiOf(const engine::SequenceStep& step, const StepInput::Place& place) const;
  std::vector<interventions::AttentionShares> RowsOf(const engine::SequenceStep& step,
                                                     const StepInput::Place& place) const;
  interventions::AttentionMap MapOf(const engine::SequenceStep& step, int64_t map) const;

  const engine::StepPlan& plan_;
  const StepInput& input_;
  const DeviceStep& step_;
  const engine::ModelFacts& facts_;

  at::Tensor host_;  // StepOutputs::all, and its parts:
  const float* largest_ = nullptr;
  const float* phi_ = nullptr;
  const interventions::RowSums* sums_ = nullptr;  // [L, R]
  const float* maps_ = nullptr;
  const backend::LeadingTokens* leading_ = nullptr;  // [T]
  const float* whole_logits_ = nullptr;              // [W, V]
};

}  // namespace varserve::model
