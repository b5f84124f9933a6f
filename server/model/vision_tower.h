// The vision tower: a vision transformer, CLIP's, SigLIP's, Idefics3's, DINOv2's or InternViT, up to the
// hidden states that visual tokens are made of.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "absl/status/statusor.h"
#include "server/backend/layer_ops.h"
#include "server/model/model_config.h"
#include "server/model/weight_loader.h"

namespace varserve::model {

struct VisionLayerNames;

// Const after construction; thread-compatible. Letters: P patches, T = 1 + P tokens (class token first; P of
// SigLIP and Idefics3, which have none), Cv width.
class VisionTower {
 public:
  // For images, or tiles of them, of image_height x image_width pixels; those beyond whole patches are not
  // seen. CLIP, SigLIP and InternViT need their own image size; DINOv2's position embeddings are
  // interpolated, Idefics3's are looked up in buckets. Errors show in the loader's status.
  VisionTower(const ModelConfig& config, int image_height, int image_width, WeightLoader& weights,
              const backend::LayerOps& ops, at::ScalarType activation_dtype);

  // pixels: [3, image_height, image_width] float32 on any device
  // => [P, Cv * number of feature layers] in the activation dtype; with the class token in front if it is
  // kept
  at::Tensor Forward(const at::Tensor& pixels) const;

  // Bytes that Forward takes at its peak.
  int64_t workspace_bytes() const;

 private:
  struct Layer {
    at::Tensor norm1_weight, norm1_bias, norm2_weight, norm2_bias;  // [Cv] float32; no bias: RMS norms
    backend::LinearWeights qkv;                                     // [3 Cv, Cv]
    at::Tensor q_norm, k_norm;                                      // [Cv] float32, some InternViT only
    backend::LinearWeights out, fc1, fc2;
    at::Tensor scale1, scale2;  // [Cv] float32, layer scale; undefined for CLIP
  };

  void LoadClipEmbeddings(WeightLoader& weights);  // of CLIP and SigLIP
  void LoadEmbeddings(WeightLoader& weights);      // of the others
  void LoadLayers(const VisionLayerNames& names, WeightLoader& weights);
  at::Tensor Embed(const at::Tensor& pixels) const;                  // => [T, Cv]
  at::Tensor Attend(const Layer& layer, const at::Tensor& x) const;  // [T, Cv] => [T, Cv]
  at::Tensor Norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) const;
  at::Tensor RmsNorm(const at::Tensor& x, const at::Tensor& weight, double eps) const;

  const VisionConfig config_;
  const std::vector<int> feature_layers_;
  const bool drop_class_token_;
  const int rows_;  // patches down
  const int cols_;  // patches across
  const backend::LayerOps& ops_;
  const at::ScalarType dtype_;

  backend::LinearWeights patch_embedding_;        // [Cv, 3 * patch * patch]
  at::Tensor class_embedding_;                    // [1, Cv] float32; undefined: SigLIP, Idefics3
  at::Tensor position_embedding_;                 // [T, Cv] float32
  at::Tensor pre_norm_weight_, pre_norm_bias_;    // CLIP only
  at::Tensor post_norm_weight_, post_norm_bias_;  // [Cv] float32, Idefics3 only
  std::vector<Layer> layers_;                     // as many as the features need
};

}  // namespace varserve::model
