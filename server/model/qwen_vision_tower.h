// The vision transformer of Qwen2-VL and Qwen2.5-VL with its merger (transformers:
// Qwen2VisionTransformerPretrainedModel, Qwen2_5_VisionTransformerPretrainedModel): any grid of patches,
// rotary embedding by row and column, and in Qwen2.5-VL windows in most layers.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "server/model/image_encoder.h"
#include "server/model/vision_windows.h"

namespace varserve::model {

// Letters: M x M patches of a visual token, P visual tokens, N = P M M patches, Cv width, D head size, I
// inner width, C the decoder's width.
class QwenVisionTower : public ImageEncoder {
 public:
  QwenVisionTower(const ModelConfig& config, const image::ImageShape& largest, WeightLoader& weights,
                  const backend::LayerOps& ops, at::ScalarType activation_dtype);

  at::Tensor Encode(const ProcessedImage& image) const override;
  int64_t workspace_bytes() const override;

 private:
  struct Norm {
    at::Tensor weight;  // [Cv] float32
    at::Tensor bias;    // undefined: an RMS norm
  };
  struct Layer {
    Norm norm1, norm2;
    backend::LinearWeights qkv;  // [3 Cv, Cv]
    backend::LinearWeights out;
    backend::LinearWeights in;    // [I, Cv], or [2 I, Cv] if it is gated
    backend::LinearWeights down;  // [Cv, I]
    bool full = true;             // attends to the whole image
  };
  // Of one image.
  struct Grid {
    int rows = 0;  // of visual tokens
    int cols = 0;
    std::vector<WindowGroup> windows;
    std::vector<WindowGroup> whole;  // one window
    at::Tensor order;                // [P] int64, WindowOrder::tokens
    at::Tensor cos, sin;             // [N, 1, D / 2] float32
  };

  void LoadLayer(int i, WeightLoader& weights);
  Grid GridOf(int rows, int cols) const;
  // Patches in the grid's order. => [N, Cv]
  at::Tensor Embed(const ProcessedImage& image, const Grid& grid) const;
  // x: [N, Cv] => [N, Cv]
  at::Tensor Attend(const Layer& layer, const Grid& grid, const at::Tensor& x) const;
  at::Tensor Mlp(const Layer& layer, const at::Tensor& x) const;
  at::Tensor Normed(const Norm& norm, const at::Tensor& x) const;
  // x: [N, Cv], in the grid's order => [P, C], row by row
  at::Tensor Merge(const Grid& grid, const at::Tensor& x) const;

  const VisionConfig config_;
  const int64_t largest_tokens_;  // P
  const int64_t decoder_width_;
  const bool is_2_5_;  // Qwen2.5-VL: windows, RMS norms and a gated MLP
  const backend::LayerOps& ops_;
  const at::ScalarType dtype_;

  backend::LinearWeights patch_embedding_;  // [Cv, 3 * frames * patch * patch]
  std::vector<Layer> layers_;
  Norm merger_norm_;
  backend::LinearWeights merger_in_;   // [M M Cv, M M Cv]
  backend::LinearWeights merger_out_;  // [C, M M Cv]
};

}  // namespace varserve::model
