// Rotary position embedding: cosines and sines of every position, computed once at load.
#pragma once

#include <ATen/core/Tensor.h>

#include "server/backend/layer_ops.h"
#include "server/model/model_config.h"

namespace varserve::model {

class RotaryTable {
 public:
  RotaryTable(const RopeConfig& config, int head_dim, int max_positions, at::Device device);
  // positions: [N] int64 on the device. Sets out's values.
  void At(const at::Tensor& positions, backend::Rotary& out) const;

 private:
  at::Tensor cos_;  // [max_positions, D / 2] float32
  at::Tensor sin_;
};

}  // namespace varserve::model
