// The tables that attention kernels read (kernels/row_attention.py), and their memory, once per step.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/backend/attention.h"
#include "server/backend/cuda/kernels.h"

namespace varserve::backend {

// Slots that one program attends to, whatever else is in the batch. A step of one sequence should fill the
// GPU; many rows do so by themselves.
inline constexpr int64_t kDecodeSplitSlots = 128;
inline constexpr int64_t kTextSplitSlots = 1024;

inline constexpr int64_t kRowInts = 11;  // of a row, see kernels/row_attention.py
inline constexpr int64_t kRowFloats = 8;
inline constexpr int64_t kRowStats = 8;    // of a row, head and split, see attend_rows
inline constexpr int64_t kRowFactors = 6;  // of a row and head, see combine_rows

// Rows that one kernel attends: single rows, or the many rows of some sequences.
struct RowClass {
  int64_t split_slots = 0;
  int64_t most_slots = 0;      // of its rows; 0: it has none
  std::vector<int32_t> tiles;  // [T, 2]: first row, number of rows; of one sequence
  at::Tensor device_tiles;

  int64_t num_tiles() const { return static_cast<int64_t>(tiles.size()) / 2; }
  int64_t num_splits() const { return CeilDiv(most_slots, split_slots); }
};

class RowTables : public PreparedRows {
 public:
  // `tile_rows`: rows that a tile of many rows holds.
  RowTables(const RowBatch& batch, int64_t block_size, int64_t tile_rows, StepMemory& memory);
  // Memory of attend_rows and combine_rows, used by one layer after the other.
  void TakeWorkspace(int64_t heads, int64_t head_dim, StepMemory& memory);

  int64_t num_rows = 0;    // R
  int64_t num_splits = 0;  // P, of all rows
  int64_t max_blocks = 0;  // of a sequence
  int64_t num_maps = 0;
  RowClass decode;        // sequences with one row
  RowClass text;          // sequences with more
  at::Tensor row_ints;    // [R, kRowInts] int32
  at::Tensor row_floats;  // [R, kRowFloats] float32, as int32
  at::Tensor blocks;      // [B, max_blocks] int32
  at::Tensor empty;       // [B, 2] int32
  at::Tensor visual;      // [B, max_blocks * block_size] int8
  at::Tensor map_rows;    // [maps] int32
  at::Tensor map_flags;   // [L, maps] int8
  at::Tensor partial;     // [P, H, 3, D] float32
  at::Tensor stats;       // [P, H, kRowStats]
  at::Tensor factors;     // [R, H, kRowFactors]
};

}  // namespace varserve::backend
