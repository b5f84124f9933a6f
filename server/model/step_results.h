// A step's results, copied to the host at once and split by sequence.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "server/engine/model_runner.h"
#include "server/interventions/attention_row.h"
#include "server/model/sampler_pool.h"
#include "server/model/step_input.h"

namespace varserve::model {

// On the device. Letters: S sampled tokens, V vocabulary, L layers, N tokens, R rows.
struct StepTensors {
  at::Tensor logits;  // [S, V] float32; undefined if S is 0
  at::Tensor phi;     // [L, 2, N] float32; undefined if the model measures nothing
  at::Tensor sums;    // [L, R, 4] float32, the last dimension a interventions::RowSums
  at::Tensor maps;    // [maps, 2, max_slots] float32
};

class StepResults {
 public:
  // Waits for the device. The arguments must outlive the object.
  StepResults(const engine::StepPlan& plan, const StepInput& input, const StepTensors& tensors,
              const engine::ModelFacts& facts);

  // One result per SequenceStep. Samples if the plan asks for it.
  engine::StepOutput Take(SamplerPool& samplers) const;

 private:
  // All logits of sampled token `sampled`, if its request needs them; else null. [V]
  const float* LogitsOf(const engine::SequenceStep& step, int64_t sampled) const;
  void ChooseTokens(SamplerPool& samplers, engine::StepOutput& output) const;
  std::vector<float> PhiOf(const engine::SequenceStep& step, const StepInput::Place& place) const;
  std::vector<interventions::AttentionShares> RowsOf(const engine::SequenceStep& step,
                                                     const StepInput::Place& place) const;
  interventions::AttentionMap MapOf(const engine::SequenceStep& step, int64_t map) const;

  const engine::StepPlan& plan_;
  const StepInput& input_;
  const StepTensors& tensors_;
  const engine::ModelFacts& facts_;
  std::vector<int64_t> whole_rows_;  // sampled tokens whose logits were copied

  at::Tensor host_;                      // float32: all that follows, one after the other
  const float* largest_ = nullptr;       // [S]
  const float* largest_id_ = nullptr;    // [S]; ids below 2^24 are exact in float32
  const float* whole_logits_ = nullptr;  // [whole_rows_, V]; none on the CPU, where logits are read in place
  const float* phi_ = nullptr;           // [L, 2, N]
  const interventions::RowSums* sums_ = nullptr;  // [L, R]
  const float* maps_ = nullptr;                   // [maps, 2, max_slots]
};

}  // namespace varserve::model
