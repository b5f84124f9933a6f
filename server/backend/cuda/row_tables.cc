#include "server/backend/cuda/row_tables.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>

namespace varserve::backend {
RowTables::RowTables(const RowBatch& batch, int64_t block_size, int64_t tile_rows, StepMemory& memory)
    : num_rows(batch.num_rows()), max_blocks(batch.max_slots() / block_size), num_maps(batch.num_maps()) {
  decode.split_slots = kDecodeSplitSlots;
  text.split_slots = kTextSplitSlots;
  const auto num_sequences = static_cast<int64_t>(batch.sequences.size());
  std::vector<int32_t> ints;
  std::vector<int32_t> floats;
  std::vector<int32_t> map_to_row(num_maps);
  std::vector<int32_t> block_table(num_sequences * max_blocks);
  std::vector<int32_t> empty_slots;
  std::vector<int8_t> is_visual(num_sequences * max_blocks * block_size);
  int64_t first = 0;
  for (int64_t s = 0; s < num_sequences; ++s) {
    const RowBatch::Sequence& sequence = batch.sequences[s];
    std::copy(sequence.blocks.begin(), sequence.blocks.end(), block_table.begin() + s * max_blocks);
    std::copy(sequence.visual.begin(), sequence.visual.end(),
              is_visual.begin() + s * max_blocks * block_size);
    empty_slots.insert(empty_slots.end(), {sequence.empty_begin, sequence.empty_end});
    RowClass& rows = sequence.num_rows == 1 ? decode : text;
    for (int64_t r = first; r < first + sequence.num_rows; ++r) {
      const AttentionRow& row = batch.rows[r];
      ints.insert(ints.end(), {static_cast<int32_t>(s), row.num_slots, row.sink_slots, row.first_layer,
                               row.last_layer, row.authors_code ? 1 : 0,
                               static_cast<int32_t>(rows.split_slots), static_cast<int32_t>(num_splits),
                               static_cast<int32_t>(row.change), row.text_slots, row.kept_heads});
      num_splits += CeilDiv(row.num_slots, rows.split_slots);
      for (const float value : {row.tau, row.rho, row.p, row.min_visual_attention, row.visual_scale,
                                row.visual_boost, row.text_scale, row.suppressed_gain})
        floats.push_back(std::bit_cast<int32_t>(value));
      if (row.map >= 0) map_to_row[row.map] = static_cast<int32_t>(r);
      rows.most_slots = std::max<int64_t>({rows.most_slots, row.num_slots, batch.least_slots});
      if ((r - first) % tile_rows == 0) {
        const int64_t count = std::min(tile_rows, first + sequence.num_rows - r);
        rows.tiles.insert(rows.tiles.end(), {static_cast<int32_t>(r), static_cast<int32_t>(count)});
      }
    }
    first += sequence.num_rows;
  }
  std::vector<int8_t> flags;
  for (const std::vector<uint8_t>& layer : batch.map_flags)
    flags.insert(flags.end(), layer.begin(), layer.end());

  num_splits = std::max(num_splits, num_rows * CeilDiv(batch.least_slots, kDecodeSplitSlots));

  const auto upload = [&]<typename T>(const std::vector<T>& values, at::ScalarType type,
                                      at::IntArrayRef shape, at::Tensor& place) {
    memory.Upload(absl::MakeConstSpan(values), type, shape, place);
  };
  upload(ints, at::kInt, {num_rows, kRowInts}, row_ints);
  upload(floats, at::kInt, {num_rows, kRowFloats}, row_floats);
  upload(decode.tiles, at::kInt, {decode.num_tiles(), 2}, decode.device_tiles);
  upload(text.tiles, at::kInt, {text.num_tiles(), 2}, text.device_tiles);
  upload(block_table, at::kInt, {num_sequences, max_blocks}, blocks);
  upload(empty_slots, at::kInt, {num_sequences, 2}, empty);
  upload(is_visual, at::kChar, {num_sequences, max_blocks * block_size}, visual);
  upload(map_to_row, at::kInt, {num_maps}, map_rows);
  upload(flags, at::kChar, {static_cast<int64_t>(batch.map_flags.size()), num_maps}, map_flags);
}

void RowTables::TakeWorkspace(int64_t heads, int64_t head_dim, StepMemory& memory) {
  partial = memory.Take({num_splits, heads, 3, head_dim}, at::kFloat);
  stats = memory.Take({num_splits, heads, kRowStats}, at::kFloat);
  factors = memory.Take({num_rows, heads, kRowFactors}, at::kFloat);
}

}  // namespace varserve::backend
