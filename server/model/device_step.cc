#include "server/model/device_step.h"

#include <ATen/ATen.h>

#include "server/model/sampler.h"

namespace varserve::model {

DeviceStep::DeviceStep(const VisionLanguageModel& model, const engine::ModelFacts& facts, KvCache& cache,
                       const engine::StepPlan& plan, const StepInput& input, backend::StepMemory& memory)
    : model_(model), cache_(cache), prefix_blocks_(input.prefix.size()) {
  const backend::Attention& attention = model.backend().attention();
  std::vector<float> temperatures;
  for (size_t i = 0; i < plan.steps.size() && !model.backend().ops().host_reads_logits(); ++i) {
    const engine::SequenceStep& step = plan.steps[i];
    if (!step.needs_logits()) continue;
    const LogitsNeeded needed = LogitsNeededBy(step);
    if (needed == LogitsNeeded::kAll) whole_rows_.push_back(input.places[i].sampled);
    if (needed != LogitsNeeded::kLeading) continue;
    leading_rows_.push_back(input.places[i].sampled);
    const float temperature = step.request->sampling.temperature;
    temperatures.push_back(temperature > 0.0F ? temperature : 1.0F);
  }
  memory.Begin();
  const auto upload = [&](absl::Span<const int64_t> values, at::Tensor& place) {
    memory.Upload(values, at::kLong, {static_cast<int64_t>(values.size())}, place);
  };
  upload(input.token_ids, input_.token_ids);
  const int axes = model.config().decoder.rope.num_axes();
  const std::vector<int64_t> positions = input.PositionsByAxis(axes);
  memory.Upload(absl::MakeConstSpan(positions), at::kLong,
                {axes, static_cast<int64_t>(input.positions.size())}, input_.positions);
  upload(input.slots, input_.slots);
  upload(input.sampled, input_.sampled);
  input_.rows = attention.Prepare(input.batch, KvCache::kBlockSize, memory);
  input_.num_rows = input.batch.num_rows();
  for (size_t i = 0; i < input.prefix.size(); ++i) upload(input.prefix_blocks[i], prefix_blocks_[i]);
  upload(leading_rows_, device_leading_rows_);
  upload(whole_rows_, device_whole_rows_);
  memory.Upload(absl::MakeConstSpan(temperatures), at::kFloat, {static_cast<int64_t>(temperatures.size())},
                device_temperatures_);
  memory.Send();

  const auto tokens = static_cast<int64_t>(input.token_ids.size());
  const auto sampled = static_cast<int64_t>(input.sampled.size());
  buffers_ = model.decoder().TakeBuffers(tokens, sampled, memory);
  evidence_ = std::make_unique<backend::RowEvidence>(model.decoder().TakeEvidence(input.batch, memory));
  outputs_ = std::make_unique<StepOutputs>(
      StepOutputs::Sizes{.sampled = sampled,
                         .vocabulary = model.config().decoder.vocab_size,
                         .layers = facts.num_layers,
                         .tokens = tokens,
                         .phi_planes = facts.token_measures,
                         .rows = input_.num_rows,
                         .maps = input.batch.num_maps(),
                         .map_slots = input.batch.max_slots(),
                         .leading = static_cast<int64_t>(leading_rows_.size()),
                         .whole_logits = static_cast<int64_t>(whole_rows_.size())},
      memory);
  input_.prefix = input.prefix;
  for (size_t i = 0; i < input.prefix.size(); ++i) {
    backend::PrefixChunk& chunk = input_.prefix[i];
    chunk.blocks = prefix_blocks_[i];
    if (attention.reads_prefix_masks())
      chunk.mask = backend::PrefixMask(chunk.count, chunk.start, buffers_.hidden.options());
  }
}

void DeviceStep::Embed() { model_.decoder().Embed(input_.token_ids, buffers_.hidden); }

void DeviceStep::Place(const ImageFeatures& features, const engine::StepPlan& plan, const StepInput& input) {
  for (size_t i = 0; i < plan.steps.size(); ++i)
    features.Place(plan.steps[i], input.places[i].first, buffers_.hidden, input_.deepstack);
}

void DeviceStep::Forward(const Decoder::LayerObserver& observer) {
  model_.decoder().Forward(input_, cache_, *evidence_, buffers_, observer);
  if (observer) return;
  if (outputs_->phi.numel() > 0) cache_.ReadPhi(input_.slots, outputs_->phi);
  if (outputs_->largest.numel() > 0) model_.backend().ops().Largest(logits(), outputs_->largest);
  evidence_->Reduce(outputs_->sums, outputs_->maps);
}

void DeviceStep::TakeLogits() {
  if (!leading_rows_.empty()) {
    model_.backend().ops().FindLeading(logits(), outputs_->largest, device_leading_rows_,
                                       device_temperatures_, outputs_->leading);
  }
  if (!whole_rows_.empty()) at::index_select_out(outputs_->whole_logits, logits(), 0, device_whole_rows_);
}

}  // namespace varserve::model
