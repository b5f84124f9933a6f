// Rotary position embedding: cosines and sines of every position, computed once at load.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "server/backend/layer_ops.h"
#include "server/model/model_config.h"

namespace varserve::model {

class RotaryTable {
 public:
  RotaryTable(const RopeConfig& config, int head_dim, int max_positions, at::Device device);
  // positions: [A, N] int64 on the device, one row for each of RopeConfig's axes. Sets out's values.
  void At(const at::Tensor& positions, backend::Rotary& out) const;

 private:
  // Pairs of dimensions that turn by one axis: every step-th from begin on.
  struct Section {
    int64_t begin;
    int64_t end;
    int64_t step;
  };

  static std::vector<Section> Sections(const RopeConfig& config, int64_t pairs);

  at::Tensor cos_;  // [max_positions, D / 2] float32
  at::Tensor sin_;
  std::vector<Section> sections_;  // one for each axis; a later one takes pairs from an earlier one
};

}  // namespace varserve::model
