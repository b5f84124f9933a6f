// multi_modal_projector: a linear layer, or two with GELU between, from the width of the vision tower's
// features to the decoder's. InternVL's and VILA's with visual tokens of several patches norm the features
// first.
#pragma once

#include <ATen/core/Tensor.h>

#include "server/backend/layer_ops.h"
#include "server/model/model_config.h"
#include "server/model/weight_loader.h"

namespace varserve::model {

// Const after construction.
class Projector {
 public:
  Projector(const ModelConfig& config, WeightLoader& weights, const backend::LayerOps& ops);
  at::Tensor Forward(const at::Tensor& features) const;  // [P, Cv] => [P, C]

 private:
  const backend::LayerOps& ops_;
  at::Tensor norm_weight_, norm_bias_;  // [Cv] float32; undefined: none
  backend::LinearWeights linear_1_;     // [C, Cv]
  backend::LinearWeights linear_2_;     // [C, C]; undefined: only one layer
};

}  // namespace varserve::model
