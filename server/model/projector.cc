#include "server/model/projector.h"

#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>

namespace varserve::model {
namespace {

constexpr double kNormEps = 1e-5;  // which no field describes

}  // namespace

Projector::Projector(const ModelConfig& config, WeightLoader& weights, const backend::LayerOps& ops)
    : ops_(ops) {
  const int64_t patches = int64_t{config.vision.merge_size} * config.vision.merge_size;
  const int64_t in =
      config.vision.hidden_size * static_cast<int64_t>(config.vision_feature_layers.size()) * patches;
  const int64_t width = config.decoder.hidden_size;
  const std::string root = "multi_modal_projector.";
  const auto load = [&](const std::string& name, int64_t inputs) {
    return weights.LoadUnquantized({root + name}, width, inputs, config.projector_bias);
  };
  if (config.projector_norm) {
    norm_weight_ = weights.LoadFloat(root + "layer_norm.weight", {in});
    norm_bias_ = weights.LoadFloat(root + "layer_norm.bias", {in});
  }
  linear_1_ = load("linear_1", in);
  if (config.projector_layers == 2) linear_2_ = load("linear_2", width);
}

at::Tensor Projector::Forward(const at::Tensor& features) const {
  at::Tensor x = features;
  if (norm_weight_.defined()) {
    x = at::layer_norm(x, {x.size(-1)}, norm_weight_.to(x.scalar_type()), norm_bias_.to(x.scalar_type()),
                       kNormEps);
  }
  x = ops_.Linear(x, linear_1_);
  return linear_2_.weight.defined() ? ops_.Linear(at::gelu(x), linear_2_) : x;
}

}  // namespace varserve::model
