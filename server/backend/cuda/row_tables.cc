#include "server/backend/cuda/row_tables.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>

namespace varserve::backend {
namespace {

// Tables that go to the device in one copy, each at a multiple of 16 bytes.
class Upload {
 public:
  // `values` must not change until Send, which sets `place`.
  template <typename T>
  void Add(const std::vector<T>& values, at::ScalarType type, at::IntArrayRef shape, at::Tensor& place) {
    const auto bytes = static_cast<int64_t>(values.size() * sizeof(T));
    parts_.push_back({values.data(), size_, bytes, type, shape.vec(), &place});
    size_ += CeilDiv(bytes, kAlignment) * kAlignment;
  }

  void Send(at::Device device) const {
    at::Tensor host =
        at::empty({size_}, at::TensorOptions().dtype(at::kByte).pinned_memory(!device.is_cpu()));
    auto* to = host.mutable_data_ptr<uint8_t>();
    for (const Part& part : parts_)
      std::copy_n(static_cast<const uint8_t*>(part.values), part.bytes, to + part.begin);
    const at::Tensor sent = host.to(device, /*non_blocking=*/true);
    for (const Part& part : parts_)
      *part.place = sent.narrow(0, part.begin, part.bytes).view(part.type).view(part.shape);
  }

 private:
  static constexpr int64_t kAlignment = 16;

  struct Part {
    const void* values;
    int64_t begin;
    int64_t bytes;
    at::ScalarType type;
    std::vector<int64_t> shape;
    at::Tensor* place;
  };
  int64_t size_ = 0;
  std::vector<Part> parts_;
};

}  // namespace

RowTables::RowTables(const RowBatch& batch, int64_t block_size, int64_t tile_rows, at::Device device)
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
                               static_cast<int32_t>(rows.split_slots), static_cast<int32_t>(num_splits)});
      num_splits += CeilDiv(row.num_slots, rows.split_slots);
      for (const float value : {row.tau, row.rho, row.p, row.min_visual_attention})
        floats.push_back(std::bit_cast<int32_t>(value));
      if (row.map >= 0) map_to_row[row.map] = static_cast<int32_t>(r);
      rows.most_slots = std::max<int64_t>(rows.most_slots, row.num_slots);
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

  Upload upload;
  upload.Add(ints, at::kInt, {num_rows, 8}, row_ints);
  upload.Add(floats, at::kInt, {num_rows, 4}, row_floats);
  upload.Add(decode.tiles, at::kInt, {decode.num_tiles(), 2}, decode.device_tiles);
  upload.Add(text.tiles, at::kInt, {text.num_tiles(), 2}, text.device_tiles);
  upload.Add(block_table, at::kInt, {num_sequences, max_blocks}, blocks);
  upload.Add(empty_slots, at::kInt, {num_sequences, 2}, empty);
  upload.Add(is_visual, at::kChar, {num_sequences, max_blocks * block_size}, visual);
  upload.Add(map_to_row, at::kInt, {num_maps}, map_rows);
  upload.Add(flags, at::kChar, {static_cast<int64_t>(batch.map_flags.size()), num_maps}, map_flags);
  upload.Send(device);
}

}  // namespace varserve::backend
