// The rows of one step that attend explicitly, and what they attend to: everything that is the same for all
// layers. Built once per step on the host. Knows tokens and slots, not requests.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "server/backend/step_memory.h"
#include "server/interventions/attention_row.h"

namespace varserve::backend {

using interventions::AttentionRow;
using interventions::RowSums;

struct RowBatch {
  // One sequence's KV slots.
  struct Sequence {
    std::vector<int32_t> blocks;  // block table
    std::vector<float> visual;    // [blocks * block_size] 1 for a visual token, else 0
    int32_t empty_begin = 0;      // slots [empty_begin, empty_end) hold no token
    int32_t empty_end = 0;
    int32_t num_rows = 0;  // its rows are adjacent
  };

  std::vector<AttentionRow> rows;  // [R], ordered by sequence
  std::vector<Sequence> sequences;
  std::vector<std::vector<uint8_t>> map_flags;  // [L][maps]: whether map m includes layer l
  // Tables are made for sequences of so many slots even if all are shorter, so that steps of similar lengths
  // have the same shapes.
  int64_t least_slots = 0;

  int64_t num_rows() const { return static_cast<int64_t>(rows.size()); }
  int64_t num_maps() const { return map_flags.empty() ? 0 : static_cast<int64_t>(map_flags.front().size()); }
  // Slots of the longest sequence, rounded up to whole blocks, or least_slots.
  int64_t max_slots() const;
};

// What interventions did, on the device, filled layer by layer. `groups` splits the heads: a backend may
// write one partial sum per KV head; Reduce() adds them up once at the end.
struct RowEvidence {
  // [L, R, groups, 4] float32; the last dimension is a RowSums.
  at::Tensor sums;
  // [maps, groups, 2, max_slots] attention before and after, summed over heads and the map's layers.
  at::Tensor maps;

  // Takes memory, but does not set it.
  RowEvidence(const RowBatch& batch, int64_t layers, int64_t groups, StepMemory& memory);
  void Clear();
  // Sums over groups. sums_out: [L, R, 4], maps_out: [maps, 2, max_slots]
  void Reduce(at::Tensor& sums_out, at::Tensor& maps_out) const;
};

}  // namespace varserve::backend
