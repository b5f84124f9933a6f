#include "server/model/projector.h"

#include <ATen/ops/gelu.h>

namespace varserve::model {

Projector::Projector(const ModelConfig& config, WeightLoader& weights, const LayerOps& ops) : ops_(ops) {
  const int64_t in = config.vision.hidden_size * static_cast<int64_t>(config.vision_feature_layers.size());
  const int64_t width = config.decoder.hidden_size;
  const std::string root = "multi_modal_projector.";
  linear_1_.weight = weights.Load(root + "linear_1.weight", {width, in});
  linear_2_.weight = weights.Load(root + "linear_2.weight", {width, width});
  if (config.projector_bias) {
    linear_1_.bias = weights.LoadFloat(root + "linear_1.bias", {width});
    linear_2_.bias = weights.LoadFloat(root + "linear_2.bias", {width});
  }
}

at::Tensor Projector::Forward(const at::Tensor& features) const {
  return ops_.Linear(at::gelu(ops_.Linear(features, linear_1_)), linear_2_);
}

}  // namespace varserve::model
