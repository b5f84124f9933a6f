#include "server/model/step_runner.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <utility>

#include "server/base/status_macros.h"
#include "server/interventions/var/tokens.h"
#include "server/model/device_step.h"
#include "server/model/step_results.h"
#include "server/model/torch_errors.h"

namespace varserve::model {

using engine::StepOutput;
using engine::StepPlan;
absl::StatusOr<std::unique_ptr<StepRunner>> StepRunner::Create(
    std::unique_ptr<const VisionLanguageModel> model, int num_kv_blocks, const StepRunnerOptions& options) {
  std::unique_ptr<StepRunner> runner(new StepRunner(std::move(model), options));
  const VisionLanguageModel& m = *runner->model_;
  const DecoderConfig& c = m.config().decoder;
  runner->facts_ = {.num_layers = c.num_hidden_layers,
                    .num_heads = c.num_attention_heads,
                    .context = c.max_position_embeddings,
                    .eos_token_ids = m.config().eos_token_ids,
                    .num_kv_blocks = num_kv_blocks,
                    .block_size = static_cast<int>(KvCache::kBlockSize),
                    .block_bytes = KvCache::BlockBytes(c, m.dtype()),
                    .prefill_chunk = PrefillChunk(m.device()),
                    .token_measures = m.var_profile().has_value() ? interventions::kNumPhiPlanes : 0,
                    .encodes_ahead = true,
                    .asynchronous = !m.device().is_cpu()};
  RETURN_IF_ERROR(runner->Start(num_kv_blocks));
  return runner;
}

StepRunner::StepRunner(std::unique_ptr<const VisionLanguageModel> model, const StepRunnerOptions& options)
    : model_(std::move(model)),
      options_(options),
      recorder_(options.enforce_eager ? nullptr : model_->backend().graphs()),
      memory_(model_->device(), /*fixed=*/recorder_ != nullptr),
      features_(*model_) {}

absl::Status StepRunner::Start(int num_kv_blocks) {
  return CatchTorchErrors([&] {
    const at::Device device = model_->device();
    if (!device.is_cpu()) {
      const c10::impl::VirtualGuardImpl streams(device.type());
      streams.getStream(device).synchronize();  // weights were loaded on it
      // Images that are encoded in parallel with steps must not delay them.
      stream_ = streams.getStreamFromGlobalPool(device, /*isHighPriority=*/true);
    }
    const c10::OptionalStreamGuard guard(stream_);
    cache_ = std::make_unique<KvCache>(model_->config().decoder, num_kv_blocks, model_->dtype(), device);
    graphs_ = std::make_unique<StepGraphs>(recorder_, cache_->padding_block(), options_.on_graph_failure);
    return absl::OkStatus();
  });
}

absl::StatusOr<StepOutput> StepRunner::Execute(const StepPlan& plan, absl::FunctionRef<void()> meanwhile) {
  StepOutput output;
  const absl::Status status = CatchTorchErrors([&]() -> absl::Status {
    features_.EncodeAhead(plan);
    const c10::OptionalStreamGuard guard(stream_);
    const bool encodes = std::any_of(plan.steps.begin(), plan.steps.end(),
                                     [](const auto& step) { return !step.encode_images.empty(); });
    if (encodes) meanwhile();
    RETURN_IF_ERROR(features_.Encode(plan));
    output = encodes ? Run(plan, [] {}) : Run(plan, meanwhile);
    return absl::OkStatus();
  });
  if (status.ok()) return output;
  // What the device still computes of it must not meet the next step's tables.
  CatchTorchErrors([&] {
    if (stream_.has_value()) stream_->synchronize();
    return absl::OkStatus();
  }).IgnoreError();
  return status;
}

absl::Status StepRunner::ClearBlocks(absl::Span<const engine::BlockId> blocks) {
  return CatchTorchErrors([&] {
    const c10::OptionalStreamGuard guard(stream_);
    cache_->Clear(blocks);
    if (stream_.has_value()) stream_->synchronize();  // the device reports a failure only then
    return absl::OkStatus();
  });
}

StepOutput StepRunner::Run(const StepPlan& plan, absl::FunctionRef<void()> meanwhile) {
  const StepInput::Padding padding = graphs_->PaddingOf(plan);
  const StepInput input(plan,
                        {.num_layers = facts_.num_layers,
                         .block_size = KvCache::kBlockSize,
                         .mrope = model_->config().decoder.rope.num_axes() > 1},
                        padding);
  const auto step = std::make_shared<DeviceStep>(*model_, facts_, *cache_, plan, input, memory_);
  if (padding.sequences > 0) {
    graphs_->Run(padding, memory_.layout(), [step] {
      step->Embed();
      step->Forward();
    });
  } else {
    step->Embed();
    step->Place(features_, plan, input);
    step->Forward();
  }
  step->TakeLogits();
  meanwhile();
  StepOutput output = StepResults(plan, input, *step, facts_).Take(samplers_);
  for (const engine::SequenceStep& computed : plan.steps) features_.ReleaseComputed(computed);
  return output;
}

}  // namespace varserve::model
