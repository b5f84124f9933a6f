// Runs the engine's steps on a LLaVA model: the only place where requests and tensors meet, and where
// LibTorch's exceptions end.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "server/engine/model_runner.h"
#include "server/model/kv_cache.h"
#include "server/model/llava_model.h"
#include "server/model/sampler.h"
#include "server/model/step_input.h"

namespace varserve::model {

// Engine thread only.
class LlavaModelRunner : public engine::ModelRunner {
 public:
  // Allocates the KV pool. RESOURCE_EXHAUSTED where it does not fit.
  static absl::StatusOr<std::unique_ptr<LlavaModelRunner>> Create(std::unique_ptr<const LlavaModel> model,
                                                                  int num_kv_blocks);

  // Tokens to prefill at once: enough to be bound by arithmetic; more only delays the tokens of running
  // sequences.
  static int PrefillChunk(at::Device device) { return device.is_cpu() ? 64 : 512; }
  // Prompt tokens a step should take beside those that decode, and alone: there a whole question about a
  // picture where the model is so small that a step still takes less than a second.
  static int PrefillBudget(const LlavaModel& model);
  static int IdlePrefillBudget(const LlavaModel& model);

  const engine::ModelFacts& facts() const override { return facts_; }
  absl::StatusOr<engine::StepOutput> Execute(const engine::StepPlan& plan) override;
  void Release(engine::SequenceId sequence) override { features_.erase(sequence); }
  absl::Status ClearBlocks(absl::Span<const engine::BlockId> blocks) override;

  const LlavaModel& model() const { return *model_; }

 private:
  explicit LlavaModelRunner(std::unique_ptr<const LlavaModel> model) : model_(std::move(model)) {}

  void EncodeImages(const engine::StepPlan& plan);
  // Writes the visual tokens of a step over the embeddings of their placeholders. embeddings: [N, C]
  void PlaceFeatures(const engine::SequenceStep& step, int64_t first, at::Tensor& embeddings);
  engine::StepOutput Run(const engine::StepPlan& plan);
  // A token to be chosen from all logits.
  struct SamplingJob {
    const engine::SequenceStep* step = nullptr;
    absl::Span<const float> logits;
    engine::SequenceResult* result = nullptr;
  };
  void SampleAll(absl::Span<const SamplingJob> jobs);

  const std::unique_ptr<const LlavaModel> model_;
  engine::ModelFacts facts_;
  std::unique_ptr<KvCache> cache_;
  std::vector<Sampler> samplers_;  // one for each compute thread
  // Visual tokens not yet all prefilled: sequence -> image -> [P, C].
  std::map<engine::SequenceId, std::map<int, at::Tensor>> features_;
};

}  // namespace varserve::model
