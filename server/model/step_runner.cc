#include "server/model/step_runner.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "server/base/status_macros.h"
#include "server/interventions/var/tokens.h"
#include "server/model/decoder_input.h"
#include "server/model/step_results.h"
#include "server/model/torch_errors.h"

namespace varserve::model {

using engine::StepOutput;
using engine::StepPlan;
absl::StatusOr<std::unique_ptr<StepRunner>> StepRunner::Create(
    std::unique_ptr<const VisionLanguageModel> model, int num_kv_blocks) {
  std::unique_ptr<StepRunner> runner(new StepRunner(std::move(model)));
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
                    .token_measures = m.var_profile().has_value() ? interventions::kNumPhiPlanes : 0};
  RETURN_IF_ERROR(CatchTorchErrors([&] {
    runner->cache_ = std::make_unique<KvCache>(c, num_kv_blocks, m.dtype(), m.device());
    return absl::OkStatus();
  }));
  return runner;
}

int StepRunner::PrefillBudget(const VisionLanguageModel& model) {
  return model.device().is_cpu() ? 128 : 512;
}

int StepRunner::IdlePrefillBudget(const VisionLanguageModel& model) {
  // Tokens times the weights' bytes: half a second of two cores.
  constexpr int64_t kTokenBytes = 200'000'000'000;
  const int least = PrefillBudget(model);
  return static_cast<int>(std::clamp<int64_t>(kTokenBytes / model.weight_bytes(), least, 5 * least));
}

absl::StatusOr<StepOutput> StepRunner::Execute(const StepPlan& plan) {
  StepOutput output;
  RETURN_IF_ERROR(CatchTorchErrors([&] {
    output = Run(plan);
    return absl::OkStatus();
  }));
  return output;
}

absl::Status StepRunner::ClearBlocks(absl::Span<const engine::BlockId> blocks) {
  return CatchTorchErrors([&] {
    cache_->Clear(blocks);
    // Reading one value waits for the device, which reports a failure only then.
    cache_->PhiOf(at::zeros({1}, at::TensorOptions().dtype(at::kLong).device(model_->device()))).cpu();
    return absl::OkStatus();
  });
}

StepOutput StepRunner::Run(const StepPlan& plan) {
  features_.Encode(*model_, plan);
  const StepInput input(plan, facts_.num_layers, KvCache::kBlockSize);
  const Decoder& decoder = model_->decoder();
  const auto rows = model_->backend().attention().Prepare(input.batch, KvCache::kBlockSize);
  backend::RowEvidence evidence = decoder.MakeEvidence(input.batch);
  DecoderInput tensors = MakeDecoderInput(*model_, plan, input, features_, *rows, buffer_);
  const at::Tensor slots = tensors.slots;
  const at::Tensor logits = decoder.Forward(std::move(tensors), *cache_, evidence);
  evidence.Reduce();

  const StepTensors outputs{.logits = logits,
                            .phi = facts_.token_measures > 0 ? cache_->PhiOf(slots) : at::Tensor(),
                            .sums = evidence.sums,
                            .maps = evidence.maps};
  StepOutput output = StepResults(plan, input, outputs, facts_).Take(samplers_);
  for (const engine::SequenceStep& step : plan.steps) features_.ReleaseComputed(step);
  return output;
}

}  // namespace varserve::model
