#include "server/backend/torch/row_groups.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace varserve::backend {

at::Tensor RowGroup::Changed(interventions::RowChange kind, int layer) const {
  return (change == static_cast<int64_t>(kind))
      .logical_and(first_layer <= layer)
      .logical_and(last_layer >= layer)
      .unsqueeze(1)
      .unsqueeze(1);
}

std::vector<at::Tensor*> RowGroup::Tensors() {
  return {
      &row_index,    &blocks,      &visual,     &visible,      &unseen,       &can_sink,   &num_visual,
      &change,       &first_layer, &last_layer, &tau,          &rho,          &p,          &min_visual,
      &authors_code, &text_slots,  &kept_heads, &visual_scale, &visual_boost, &text_scale, &suppressed_gain,
      &map_rows,     &map_ids};
}

TorchRows::TorchRows(const RowBatch& batch, int64_t block_size) {
  std::vector<int64_t> singles;
  int64_t longest = 0;  // of them, in slots
  const auto add_singles = [&] {
    if (!singles.empty()) AddGroup(batch, singles, block_size);
    singles.clear();
    longest = 0;
  };
  int64_t row = 0;
  for (size_t s = 0; s < batch.sequences.size(); ++s) {
    first_row_.push_back(row);
    row += batch.sequences[s].num_rows;
    if (batch.sequences[s].num_rows == 1) {
      const auto slots = static_cast<int64_t>(batch.sequences[s].visual.size());
      if (static_cast<int64_t>(singles.size() + 1) * std::max(longest, slots) > kMostSlots) add_singles();
      singles.push_back(static_cast<int64_t>(s));
      longest = std::max(longest, slots);
    } else if (batch.sequences[s].num_rows > 1) {
      AddGroup(batch, {static_cast<int64_t>(s)}, block_size);
    }
  }
  add_singles();
}

void TorchRows::MoveTo(const at::Device& device) {
  for (RowGroup& g : groups) {
    for (at::Tensor* t : g.Tensors()) *t = t->to(device, /*non_blocking=*/true);
  }
  map_flags = map_flags.to(device, /*non_blocking=*/true);
}

void TorchRows::AddGroup(const RowBatch& batch, const std::vector<int64_t>& sequences, int64_t block_size) {
  RowGroup g;
  g.num_sequences = static_cast<int64_t>(sequences.size());
  g.rows_each = batch.sequences[sequences.front()].num_rows;
  for (const int64_t s : sequences) {
    g.slots = std::max(g.slots, static_cast<int64_t>(batch.sequences[s].visual.size()));
  }
  const int64_t num_rows = g.num_sequences * g.rows_each;
  g.row_index = at::empty({num_rows}, at::kLong);
  g.blocks =
      at::zeros({g.num_sequences, g.slots / block_size}, at::kLong);  // short tables repeat block 0, masked
  g.visual = at::zeros({g.num_sequences, 1, g.slots});
  g.visible = at::zeros({g.num_sequences, g.rows_each, g.slots}, at::kBool);
  g.can_sink = at::zeros_like(g.visible);
  std::vector<int64_t> map_rows;
  std::vector<int64_t> map_ids;
  for (int64_t b = 0; b < g.num_sequences; ++b) {
    const RowBatch::Sequence& sequence = batch.sequences[sequences[b]];
    std::copy(sequence.blocks.begin(), sequence.blocks.end(), g.blocks[b].data_ptr<int64_t>());
    std::copy(sequence.visual.begin(), sequence.visual.end(), g.visual[b].data_ptr<float>());
    for (int64_t t = 0; t < g.rows_each; ++t) {
      const int64_t index = first_row_[sequences[b]] + t;
      const int64_t at = b * g.rows_each + t;
      const AttentionRow& row = batch.rows[index];
      g.row_index.data_ptr<int64_t>()[at] = index;
      bool* visible = g.visible.data_ptr<bool>() + at * g.slots;
      bool* can_sink = g.can_sink.data_ptr<bool>() + at * g.slots;
      std::fill_n(visible, row.num_slots, true);
      std::fill_n(can_sink, std::min(row.num_slots, row.sink_slots), true);
      for (int32_t slot = sequence.empty_begin; slot < sequence.empty_end; ++slot)
        visible[slot] = can_sink[slot] = false;
      if (row.map >= 0) {
        map_rows.push_back(at);
        map_ids.push_back(row.map);
      }
    }
  }
  SetParameters(batch, sequences, g);
  g.unseen = g.visible.any(1).logical_not().view({g.num_sequences, 1, g.slots, 1});
  g.num_visual = (g.visual * g.visible).sum(-1).view({g.num_sequences, 1, 1, g.rows_each});
  g.blocks = g.blocks.view({-1});
  g.map_rows = at::tensor(map_rows, at::kLong);
  g.map_ids = at::tensor(map_ids, at::kLong);
  groups.push_back(std::move(g));
}

void TorchRows::SetParameters(const RowBatch& batch, const std::vector<int64_t>& sequences,
                              RowGroup& g) const {
  const auto table = [&]<typename T>(at::ScalarType type, T AttentionRow::*field) {
    std::vector<T> values;
    for (const int64_t s : sequences) {
      for (int64_t t = 0; t < g.rows_each; ++t) values.push_back(batch.rows[first_row_[s] + t].*field);
    }
    return at::tensor(at::ArrayRef<T>(values)).to(type).view({g.num_sequences, g.rows_each});
  };
  const auto integers = [&](int32_t AttentionRow::*field) { return table(at::kLong, field); };
  const auto floats = [&](float AttentionRow::*field) { return table(at::kFloat, field); };
  g.first_layer = integers(&AttentionRow::first_layer);
  g.last_layer = integers(&AttentionRow::last_layer);
  g.tau = floats(&AttentionRow::tau);
  g.rho = floats(&AttentionRow::rho);
  g.p = floats(&AttentionRow::p);
  g.min_visual = floats(&AttentionRow::min_visual_attention);
  g.text_slots = integers(&AttentionRow::text_slots);
  g.visual_scale = floats(&AttentionRow::visual_scale);
  g.visual_boost = floats(&AttentionRow::visual_boost);
  g.text_scale = floats(&AttentionRow::text_scale);
  g.kept_heads = integers(&AttentionRow::kept_heads);
  g.suppressed_gain = floats(&AttentionRow::suppressed_gain);
  g.change = at::empty({g.num_sequences, g.rows_each}, at::kLong);
  g.authors_code = at::empty({g.num_sequences, g.rows_each}, at::kBool);
  int64_t at = 0;
  for (const int64_t s : sequences) {
    for (int64_t t = 0; t < g.rows_each; ++t, ++at) {
      const AttentionRow& row = batch.rows[first_row_[s] + t];
      g.change.data_ptr<int64_t>()[at] = static_cast<int64_t>(row.change);
      g.authors_code.data_ptr<bool>()[at] = row.authors_code;
      g.has[static_cast<size_t>(row.change)] = true;
    }
  }
}

}  // namespace varserve::backend
