#include "server/model/projector.h"

#include <ATen/ops/gelu.h>

namespace varserve::model {

Projector::Projector(const ModelConfig& config, WeightLoader& weights, const backend::LayerOps& ops)
    : ops_(ops) {
  const int64_t in = config.vision.hidden_size * static_cast<int64_t>(config.vision_feature_layers.size());
  const int64_t width = config.decoder.hidden_size;
  const std::string root = "multi_modal_projector.";
  const auto load = [&](const std::string& name, int64_t inputs) {
    return weights.LoadUnquantized({root + name}, width, inputs, config.projector_bias);
  };
  linear_1_ = load("linear_1", in);
  linear_2_ = load("linear_2", width);
}

at::Tensor Projector::Forward(const at::Tensor& features) const {
  return ops_.Linear(at::gelu(ops_.Linear(features, linear_1_)), linear_2_);
}

}  // namespace varserve::model
