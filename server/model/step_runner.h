// Runs the engine's steps on a model: the only place where requests and tensors meet. Turns LibTorch's
// exceptions into statuses.
#pragma once

#include <c10/core/Stream.h>

#include <memory>
#include <optional>

#include "server/engine/model_runner.h"
#include "server/model/image_features.h"
#include "server/model/kv_cache.h"
#include "server/model/sampler_pool.h"
#include "server/model/step_graphs.h"
#include "server/model/vision_language_model.h"

namespace varserve::model {

struct StepRunnerOptions {
  bool enforce_eager = false;  // no step is recorded as a graph
  // See StepGraphs. Called on the thread that runs the step.
  StepGraphs::OnFailure on_graph_failure;
};

// Engine thread only.
class StepRunner : public engine::ModelRunner {
 public:
  // Allocates the KV pool. RESOURCE_EXHAUSTED if it does not fit.
  static absl::StatusOr<std::unique_ptr<StepRunner>> Create(std::unique_ptr<const VisionLanguageModel> model,
                                                            int num_kv_blocks,
                                                            const StepRunnerOptions& options = {});

  // Tokens of a prefill chunk: enough to be bound by arithmetic. More would only delay running sequences: on
  // CPUs, 32 tokens take two to three times as long as a step that decodes, whatever the model.
  static int PrefillChunk(at::Device device) { return device.is_cpu() ? 32 : 512; }

  const engine::ModelFacts& facts() const override { return facts_; }
  absl::StatusOr<engine::StepOutput> Execute(const engine::StepPlan& plan,
                                             absl::FunctionRef<void()> meanwhile) override;
  std::vector<engine::ImageRef> TakeEncoded() override { return features_.TakeEncoded(); }
  void Release(engine::SequenceId sequence) override { features_.Release(sequence); }
  absl::Status ClearBlocks(absl::Span<const engine::BlockId> blocks) override;

  const VisionLanguageModel& model() const { return *model_; }
  const StepGraphs& graphs() const { return *graphs_; }

 private:
  StepRunner(std::unique_ptr<const VisionLanguageModel> model, const StepRunnerOptions& options);

  // Allocates.
  absl::Status Start(int num_kv_blocks);
  // Plan, device tensors, the decoder, results: in this order.
  engine::StepOutput Run(const engine::StepPlan& plan, absl::FunctionRef<void()> meanwhile);

  const std::unique_ptr<const VisionLanguageModel> model_;
  const StepRunnerOptions options_;
  const backend::GraphRecorder* const recorder_;  // null: no graphs
  engine::ModelFacts facts_;
  std::unique_ptr<KvCache> cache_;
  backend::StepMemory memory_;
  std::unique_ptr<StepGraphs> graphs_;
  // Everything runs on it; not set on the CPU. The device's default stream cannot be recorded.
  std::optional<c10::Stream> stream_;
  ImageFeatures features_;
  SamplerPool samplers_;
};

}  // namespace varserve::model
