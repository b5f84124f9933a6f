#include "server/model/step_input.h"

#include "server/base/visual_tokens.h"
#include "server/model/rope_positions.h"

namespace varserve::model {
namespace {

using backend::RowBatch;
using engine::GenerationRequest;
using engine::SequenceStep;
using engine::SlotLayout;
using interventions::AttentionRow;

RowBatch::Sequence SequenceOf(const SequenceStep& step, const SlotLayout& layout) {
  RowBatch::Sequence sequence;
  const int num_blocks = layout.NumBlocks(step.end);
  sequence.blocks.assign(step.blocks.begin(), step.blocks.begin() + num_blocks);
  sequence.visual.assign(static_cast<size_t>(num_blocks) * layout.block_size(), 0.0F);
  for (const ImageSpan& span : step.request->prompt->spans) {
    ForVisualRuns(span, 0, step.end, [&](int position, int count, int /*index*/) {
      for (int t = position; t < position + count; ++t) sequence.visual[layout.SlotOf(t)] = 1.0F;
    });
  }
  sequence.empty_begin = layout.prefix_size();
  sequence.empty_end = layout.prefix_size() + layout.padding();
  return sequence;
}

// Everything but the row's sequence and map.
AttentionRow RowOf(const GenerationRequest& request, int position, const SlotLayout& layout) {
  AttentionRow row;
  row.num_slots = layout.SlotOf(position) + 1;
  if (request.intervention != nullptr) {
    request.intervention->SetRow({.prompt = *request.prompt,
                                  .position = position,
                                  .prompt_slots = layout.NumSlots(request.prompt->size())},
                                 row);
  }
  return row;
}

bool ContinuesStepBefore(const engine::StepPlan& plan, size_t i) {
  return i > 0 && plan.steps[i - 1].sequence == plan.steps[i].sequence &&
         plan.steps[i - 1].end == plan.steps[i].begin;
}

}  // namespace

StepInput::StepInput(const engine::StepPlan& plan, const Shape& shape, const Padding& padding) {
  places.resize(plan.steps.size());
  batch.map_flags.resize(shape.num_layers);
  std::vector<SlotLayout> layouts;
  for (const SequenceStep& step : plan.steps)
    layouts.emplace_back(step.request->prompt->prefix_size(), static_cast<int>(shape.block_size));
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const SequenceStep& step = plan.steps[i];
    places[i].rows = step.begin >= layouts[i].prefix_size();
    if (!places[i].rows) continue;
    AddTokens(step, layouts[i], shape, places[i]);
    AddRows(step, layouts[i], ContinuesStepBefore(plan, i) && places[i - 1].rows, places[i]);
  }
  if (padding.sequences > 0) FillUp(shape.block_size, padding);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (places[i].rows) continue;
    AddTokens(plan.steps[i], layouts[i], shape, places[i]);
    AddPrefix(plan.steps[i], layouts[i], ContinuesStepBefore(plan, i), places[i]);
  }
}

void StepInput::AddTokens(const SequenceStep& step, const SlotLayout& layout, const Shape& shape,
                          Place& place) {
  place.first = static_cast<int64_t>(token_ids.size());
  const RopePositions rope(*step.request->prompt, shape.mrope);
  for (int t = step.begin; t < step.end; ++t) {
    const int slot = layout.SlotOf(t);
    token_ids.push_back(step.request->prompt->TokenAt(t, step.generated));
    positions.push_back(rope.At(t));
    slots.push_back(step.blocks[slot / shape.block_size] * shape.block_size + slot % shape.block_size);
  }
  if (step.needs_logits()) {
    place.sampled = static_cast<int64_t>(sampled.size());
    sampled.push_back(static_cast<int64_t>(token_ids.size()) - 1);
  }
}

void StepInput::AddRows(const SequenceStep& step, const SlotLayout& layout, bool continues, Place& place) {
  RowBatch::Sequence sequence = SequenceOf(step, layout);
  sequence.num_rows = step.end - step.begin;
  if (continues) {
    sequence.num_rows += batch.sequences.back().num_rows;
    batch.sequences.pop_back();
  }
  for (int t = step.begin; t < step.end; ++t) {
    AttentionRow row = RowOf(*step.request, t, layout);
    row.sequence = static_cast<int32_t>(batch.sequences.size());
    batch.rows.push_back(row);
  }
  if (step.map) {
    place.map = batch.num_maps();
    batch.rows.back().map = static_cast<int32_t>(place.map);
    for (std::vector<uint8_t>& flags : batch.map_flags) flags.push_back(0);
    for (const int layer : step.request->map_layers) batch.map_flags[layer].back() = 1;
  }
  batch.sequences.push_back(std::move(sequence));
}

void StepInput::AddPrefix(const SequenceStep& step, const SlotLayout& layout, bool continues,
                          const Place& place) {
  if (!continues) {
    prefix.push_back({.first = place.first, .start = step.begin, .blocks = {}, .mask = {}});
    prefix_blocks.emplace_back();
  }
  prefix.back().count += step.end - step.begin;
  prefix_blocks.back().assign(step.blocks.begin(), step.blocks.begin() + layout.NumBlocks(step.end));
}

std::vector<int64_t> StepInput::PositionsByAxis(int axes) const {
  std::vector<int64_t> by_axis;
  by_axis.reserve(positions.size() * axes);
  for (int axis = 0; axis < axes; ++axis) {
    for (const std::array<int64_t, 3>& position : positions) by_axis.push_back(position[axis]);
  }
  return by_axis;
}

void StepInput::FillUp(int64_t block_size, const Padding& padding) {
  batch.least_slots = padding.slots;
  while (static_cast<int64_t>(batch.sequences.size()) < padding.sequences) {
    sampled.push_back(static_cast<int64_t>(token_ids.size()));
    token_ids.push_back(0);
    positions.push_back({});
    slots.push_back(padding.block * block_size);
    AttentionRow row;
    row.num_slots = 1;
    row.sequence = static_cast<int32_t>(batch.sequences.size());
    batch.rows.push_back(row);
    batch.sequences.push_back({.blocks = {padding.block},
                               .visual = std::vector<float>(static_cast<size_t>(block_size)),
                               .empty_begin = 0,
                               .empty_end = 0,
                               .num_rows = 1});
  }
}

}  // namespace varserve::model
