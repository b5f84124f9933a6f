// A step's rows as the torch backend computes them, with what is the same for all layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "server/backend/attention.h"
#include "server/interventions/attention_row.h"

namespace varserve::backend {

// Rows computed with one batch of matrix products: the single rows of many sequences, or the many rows of one
// sequence. Shapes: B sequences, Tq rows of each, S slots of the longest, in whole blocks.
struct RowGroup {
  int64_t num_sequences = 0;
  int64_t rows_each = 0;
  int64_t slots = 0;
  at::Tensor row_index;   // [B * Tq] int64, into the batch
  at::Tensor blocks;      // [B * S / block_size] int64
  at::Tensor visual;      // [B, 1, S] float
  at::Tensor visible;     // [B, Tq, S] bool: slots the row attends to
  at::Tensor unseen;      // [B, 1, S, 1] bool: slots no row attends to, which may contain anything
  at::Tensor can_sink;    // [B, Tq, S] bool: visible slots that may be sinks
  at::Tensor num_visual;  // [B, 1, 1, Tq] float: visible visual tokens
  // Parameters of AttentionRow, [B, Tq].
  at::Tensor change, first_layer, last_layer;         // int64
  at::Tensor tau, rho, p, min_visual;                 // float
  at::Tensor authors_code;                            // bool
  at::Tensor text_slots, kept_heads;                  // int64
  at::Tensor visual_scale, visual_boost, text_scale;  // float
  at::Tensor suppressed_gain;                         // float
  at::Tensor map_rows, map_ids;                       // [maps of the group] int64: row within the group, map
  std::array<bool, interventions::kRowChanges> has = {};  // whether a row is changed in this way

  // [B, 1, 1, Tq] bool: rows that are changed in this way in the layer
  at::Tensor Changed(interventions::RowChange kind, int layer) const;
  bool Has(interventions::RowChange kind) const { return has[static_cast<size_t>(kind)]; }
  std::vector<at::Tensor*> Tensors();
};

class TorchRows : public PreparedRows {
 public:
  // Of a group of several sequences, each counted as long as the longest: they bound the memory of gathered
  // K.
  static constexpr int64_t kMostSlots = 1 << 15;

  TorchRows(const RowBatch& batch, int64_t block_size);

  void MoveTo(const at::Device& device);

  std::vector<RowGroup> groups;
  at::Tensor map_flags;  // [L, maps] float

 private:
  void AddGroup(const RowBatch& batch, const std::vector<int64_t>& sequences, int64_t block_size);
  // The parameters of the group's rows.
  void SetParameters(const RowBatch& batch, const std::vector<int64_t>& sequences, RowGroup& g) const;

  std::vector<int64_t> first_row_;  // of each sequence
};

}  // namespace varserve::backend
