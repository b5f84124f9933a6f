#include "server/model/vision_tower.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/model/activation.h"

namespace varserve::model {

// What the weights of a layer are called.
struct VisionLayerNames {
  const char* layers;  // followed by the layer's number
  const char* norm1;
  const char* q;
  const char* k;
  const char* v;
  const char* out;
  const char* norm2;
  const char* scale1 = nullptr;  // null: no layer scale
  const char* scale2 = nullptr;
};

namespace {

constexpr char kRoot[] = "vision_tower.";
constexpr double kQkNormEps = 1e-6;  // which no field describes

constexpr VisionLayerNames kClipNames = {.layers = "encoder.layers.",
                                         .norm1 = "layer_norm1",
                                         .q = "self_attn.q_proj",
                                         .k = "self_attn.k_proj",
                                         .v = "self_attn.v_proj",
                                         .out = "self_attn.out_proj",
                                         .norm2 = "layer_norm2"};
constexpr VisionLayerNames kDinov2Names = {.layers = "encoder.layer.",
                                           .norm1 = "norm1",
                                           .q = "attention.attention.query",
                                           .k = "attention.attention.key",
                                           .v = "attention.attention.value",
                                           .out = "attention.output.dense",
                                           .norm2 = "norm2",
                                           .scale1 = "layer_scale1.lambda1",
                                           .scale2 = "layer_scale2.lambda1"};
constexpr VisionLayerNames kInternVitNames = {.layers = "encoder.layer.",
                                              .norm1 = "layernorm_before",
                                              .q = "attention.q_proj",
                                              .k = "attention.k_proj",
                                              .v = "attention.v_proj",
                                              .out = "attention.projection_layer",
                                              .norm2 = "layernorm_after",
                                              .scale1 = "lambda_1",
                                              .scale2 = "lambda_2"};

// Idefics3 places a patch by the fraction of the tile that is before it: in the bucket of the tower's own
// `side` x `side` positions. In float32, by the operations of the reference implementation, so that no
// rounding puts a patch into another bucket. [rows * cols]
at::Tensor BucketPositions(int64_t side, int64_t rows, int64_t cols) {
  const double step = 1.0 / static_cast<double>(side);
  const at::Tensor boundaries = at::arange(step, 1.0, step, at::kFloat);
  const auto buckets = [&](int64_t patches) {
    const at::Tensor fractions = at::arange(patches, at::kFloat) * (1.0F / static_cast<float>(patches));
    return at::bucketize(fractions.clamp_max(1.0 - 1e-6), boundaries, /*out_int32=*/false, /*right=*/true);
  };
  return (buckets(rows).unsqueeze(1) * side + buckets(cols).unsqueeze(0)).flatten();
}

}  // namespace

VisionTower::VisionTower(const ModelConfig& config, int image_height, int image_width, WeightLoader& weights,
                         const backend::LayerOps& ops, at::ScalarType activation_dtype)
    : config_(config.vision),
      feature_layers_(config.vision_feature_layers),
      drop_class_token_(config.drop_class_token),
      rows_(image_height / config.vision.patch_size),
      cols_(image_width / config.vision.patch_size),
      ops_(ops),
      dtype_(activation_dtype) {
  layers_.resize(*std::max_element(feature_layers_.begin(), feature_layers_.end()));
  switch (config_.kind) {
    case VisionConfig::Kind::kClip:
    case VisionConfig::Kind::kSiglip:
    case VisionConfig::Kind::kIdefics3:
      LoadClipEmbeddings(weights);
      LoadLayers(kClipNames, weights);
      break;
    default:
      LoadEmbeddings(weights);
      LoadLayers(config_.kind == VisionConfig::Kind::kDinov2 ? kDinov2Names : kInternVitNames, weights);
  }
  if (config_.kind != VisionConfig::Kind::kIdefics3) return;
  const std::string norm = absl::StrCat(kRoot, "post_layernorm.");
  post_norm_weight_ = weights.LoadFloat(norm + "weight", {config_.hidden_size});
  post_norm_bias_ = weights.LoadFloat(norm + "bias", {config_.hidden_size});
}

void VisionTower::LoadClipEmbeddings(WeightLoader& weights) {
  const int64_t width = config_.hidden_size;
  const int64_t patch = config_.patch_size;
  const bool class_token = config_.kind == VisionConfig::Kind::kClip;
  const bool buckets = config_.kind == VisionConfig::Kind::kIdefics3;
  const int64_t side = config_.image_size / patch;
  const int64_t positions =
      buckets ? side * side : static_cast<int64_t>(rows_) * cols_ + (class_token ? 1 : 0);
  const std::string root = kRoot;
  const at::Tensor patches =
      weights.Load(root + "embeddings.patch_embedding.weight", {width, 3, patch, patch});
  position_embedding_ = weights.LoadFloat(root + "embeddings.position_embedding.weight", {positions, width});
  if (!class_token) {
    const at::Tensor bias = weights.LoadFloat(root + "embeddings.patch_embedding.bias", {width});
    if (!weights.status().ok()) return;
    patch_embedding_ = ops_.Prepare(patches.flatten(1), bias);
    if (buckets)
      position_embedding_ = position_embedding_.index_select(
          0, BucketPositions(side, rows_, cols_).to(position_embedding_.device()));
    return;
  }
  class_embedding_ = weights.LoadFloat(root + "embeddings.class_embedding", {width});
  pre_norm_weight_ =
      weights.LoadFloat(root + "pre_layrnorm.weight", {width});  // the name is misspelt in the original
  pre_norm_bias_ = weights.LoadFloat(root + "pre_layrnorm.bias", {width});
  if (!weights.status().ok()) return;
  patch_embedding_ = ops_.Prepare(patches.flatten(1));
  class_embedding_ = class_embedding_.unsqueeze(0);
}

void VisionTower::LoadEmbeddings(WeightLoader& weights) {
  const int64_t width = config_.hidden_size;
  const int64_t patch = config_.patch_size;
  const int64_t side = config_.image_size / patch;
  const std::string root = kRoot;
  const at::Tensor patches =
      weights.Load(root + "embeddings.patch_embeddings.projection.weight", {width, 3, patch, patch});
  const at::Tensor patches_bias =
      weights.LoadFloat(root + "embeddings.patch_embeddings.projection.bias", {width});
  class_embedding_ = weights.LoadFloat(root + "embeddings.cls_token", {1, 1, width});
  position_embedding_ =
      weights.LoadFloat(root + "embeddings.position_embeddings", {1, side * side + 1, width});
  if (!weights.status().ok()) return;
  patch_embedding_ = ops_.Prepare(patches.flatten(1), patches_bias);
  class_embedding_ = class_embedding_.view({1, width});
  at::Tensor positions = position_embedding_.squeeze(0);
  if (rows_ != side || cols_ != side) {
    // Bicubic in float32, corners not aligned: as the reference implementation interpolates.
    const at::Tensor grid =
        positions.narrow(0, 1, side * side).view({1, side, side, width}).permute({0, 3, 1, 2});
    const at::Tensor resized = at::upsample_bicubic2d(grid, {rows_, cols_}, /*align_corners=*/false);
    positions = at::cat({positions.narrow(0, 0, 1), resized.permute({0, 2, 3, 1}).reshape({-1, width})});
  }
  position_embedding_ = positions.contiguous();
}

void VisionTower::LoadLayers(const VisionLayerNames& names, WeightLoader& weights) {
  const int64_t width = config_.hidden_size;
  const int64_t inner = config_.intermediate_size;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const std::string at = absl::StrCat(kRoot, names.layers, i, ".");
    Layer& layer = layers_[i];
    layer.norm1_weight = weights.LoadFloat(absl::StrCat(at, names.norm1, ".weight"), {width});
    layer.norm2_weight = weights.LoadFloat(absl::StrCat(at, names.norm2, ".weight"), {width});
    if (!config_.rms_norm) {
      layer.norm1_bias = weights.LoadFloat(absl::StrCat(at, names.norm1, ".bias"), {width});
      layer.norm2_bias = weights.LoadFloat(absl::StrCat(at, names.norm2, ".bias"), {width});
    }
    layer.qkv =
        weights.LoadUnquantized({at + names.q, at + names.k, at + names.v}, width, width, config_.qkv_bias);
    if (config_.qk_norm) {
      layer.q_norm = weights.LoadFloat(at + "attention.q_norm.weight", {width});
      layer.k_norm = weights.LoadFloat(at + "attention.k_norm.weight", {width});
    }
    layer.out = weights.LoadUnquantized({at + names.out}, width, width);
    layer.fc1 = weights.LoadUnquantized({at + "mlp.fc1"}, inner, width);
    layer.fc2 = weights.LoadUnquantized({at + "mlp.fc2"}, width, inner);
    if (names.scale1 == nullptr) continue;
    layer.scale1 = weights.LoadFloat(at + names.scale1, {width});
    layer.scale2 = weights.LoadFloat(at + names.scale2, {width});
  }
}

at::Tensor VisionTower::Embed(const at::Tensor& pixels) const {
  const int64_t patch = config_.patch_size;
  const at::Tensor patches = pixels.narrow(1, 0, rows_ * patch)
                                 .narrow(2, 0, cols_ * patch)
                                 .to(patch_embedding_.weight.device(), /*non_blocking=*/true)
                                 .reshape({3, rows_, patch, cols_, patch})
                                 .permute({1, 3, 0, 2, 4})
                                 .reshape({static_cast<int64_t>(rows_) * cols_, -1})
                                 .to(dtype_);
  at::Tensor x = ops_.Linear(patches, patch_embedding_);  // [P, Cv]
  if (class_embedding_.defined()) x = at::cat({class_embedding_.to(dtype_), x});
  x = x + position_embedding_.to(dtype_);
  return pre_norm_weight_.defined() ? Norm(x, pre_norm_weight_, pre_norm_bias_) : x;
}

at::Tensor VisionTower::Norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) const {
  if (!bias.defined()) return RmsNorm(x, weight, config_.layer_norm_eps);
  return at::layer_norm(x, {x.size(-1)}, weight.to(x.scalar_type()), bias.to(x.scalar_type()),
                        config_.layer_norm_eps);
}

at::Tensor VisionTower::RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) const {
  at::Tensor out = at::empty_like(x);
  ops_.RmsNorm(x, weight, eps, out);
  return out;
}

at::Tensor VisionTower::Attend(const Layer& layer, const at::Tensor& x) const {
  const int64_t tokens = x.size(0);
  const int64_t heads = config_.num_attention_heads;
  const at::Tensor qkv = ops_.Linear(x, layer.qkv).view({tokens, 3, -1});  // [T, 3, Cv]
  const auto of_heads = [&](int64_t part, const at::Tensor& norm) {        // => [1, T, heads, D]
    at::Tensor all = qkv.select(1, part);
    if (norm.defined()) all = RmsNorm(all.contiguous(), norm, kQkNormEps);
    return all.unflatten(1, {heads, -1}).unsqueeze(0);
  };
  at::Tensor out = at::empty_like(x);
  at::Tensor by_heads = out.view({1, tokens, heads, -1});
  ops_.AttendWindows(of_heads(0, layer.q_norm), of_heads(1, layer.k_norm), of_heads(2, at::Tensor()),
                     layer.qkv.weight.scalar_type(), by_heads);
  return ops_.Linear(out, layer.out);
}

at::Tensor VisionTower::Forward(const at::Tensor& pixels) const {
  at::Tensor x = Embed(pixels);  // [T, Cv]
  std::vector<at::Tensor> features(feature_layers_.size());
  const auto keep = [&](size_t state) {  // a hidden state, where it is a feature
    for (size_t i = 0; i < features.size(); ++i) {
      if (static_cast<size_t>(feature_layers_[i]) != state) continue;
      features[i] = drop_class_token_ ? x.narrow(0, 1, x.size(0) - 1) : x;
    }
  };
  keep(0);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    at::Tensor attended = Attend(layer, Norm(x, layer.norm1_weight, layer.norm1_bias));
    if (layer.scale1.defined()) attended = attended * layer.scale1.to(dtype_);
    x = x + attended;
    const at::Tensor inner = ops_.Linear(Norm(x, layer.norm2_weight, layer.norm2_bias), layer.fc1);
    at::Tensor outer = ops_.Linear(Activated(config_.hidden_act, inner), layer.fc2);
    if (layer.scale2.defined()) outer = outer * layer.scale2.to(dtype_);
    x = x + outer;
    keep(i + 1);
  }
  const at::Tensor all = at::cat(features, -1);
  return post_norm_weight_.defined() ? Norm(all, post_norm_weight_, post_norm_bias_) : all;
}

int64_t VisionTower::workspace_bytes() const {
  // The hidden states that are features, these next to each other, and one layer's activations.
  const int64_t tokens = static_cast<int64_t>(rows_) * cols_ + 1;
  return static_cast<int64_t>(sizeof(float)) * tokens *
         (static_cast<int64_t>(config_.hidden_size) *
              (2 * static_cast<int64_t>(feature_layers_.size()) + 10) +
          2 * static_cast<int64_t>(config_.intermediate_size));
}

}  // namespace varserve::model
