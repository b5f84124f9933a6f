// The vision transformer of Qwen2-VL, Qwen2.5-VL and Qwen3-VL with its mergers (transformers:
// Qwen2VisionTransformerPretrainedModel, Qwen2_5_VisionTransformerPretrainedModel, Qwen3VLVisionModel): any
// grid of patches, rotary embedding by row and column, in Qwen2.5-VL windows in most layers, in Qwen3-VL also
// learned positions and hidden states of some layers for the decoder's first ones (DeepStack).
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <vector>

#include "server/model/image_encoder.h"
#include "server/model/vision_windows.h"

namespace varserve::model {

struct QwenVisionNames;

// Letters: M x M patches of a visual token, P visual tokens, N = P M M patches, Cv width, D head size, I
// inner width, C the decoder's width.
class QwenVisionTower : public ImageEncoder {
 public:
  QwenVisionTower(const ModelConfig& config, const image::ImageShape& largest, WeightLoader& weights,
                  const backend::LayerOps& ops, at::ScalarType activation_dtype);

  EncodedImage Encode(const ProcessedImage& image) const override;
  int64_t workspace_bytes() const override;

 private:
  struct Norm {
    at::Tensor weight;  // [Cv] float32; some mergers': [M M Cv]
    at::Tensor bias;    // undefined: an RMS norm
  };
  // From the patches of a visual token to the decoder's width.
  struct Merger {
    Norm norm;
    backend::LinearWeights in;   // [M M Cv, M M Cv]
    backend::LinearWeights out;  // [C, M M Cv]
  };
  struct Layer {
    Norm norm1, norm2;
    backend::LinearWeights qkv;  // [3 Cv, Cv]
    backend::LinearWeights out;
    backend::LinearWeights in;    // [I, Cv], or [2 I, Cv] if it is gated
    backend::LinearWeights down;  // [Cv, I]
    bool full = true;             // attends to the whole image
    std::optional<Merger> deepstack;
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

  void LoadPositions(WeightLoader& weights);
  Norm LoadNorm(const std::string& name, int64_t width, WeightLoader& weights) const;
  void LoadLayer(int i, const QwenVisionNames& names, WeightLoader& weights);
  // norm_of_tokens: whether it norms whole visual tokens or each patch.
  Merger LoadMerger(const std::string& name, bool norm_of_tokens, const QwenVisionNames& names,
                    WeightLoader& weights) const;
  Grid GridOf(int rows, int cols) const;
  // Cuts a picture [channels, height, width] into patches, in the grid's order. => [N, channels, patch,
  // patch]
  at::Tensor Patches(const at::Tensor& picture, int64_t patch, const Grid& grid) const;
  // => [N, Cv]
  at::Tensor Embed(const ProcessedImage& image, const Grid& grid) const;
  // x: [N, Cv] => [N, Cv]
  at::Tensor Attend(const Layer& layer, const Grid& grid, const at::Tensor& x) const;
  at::Tensor Mlp(const Layer& layer, const at::Tensor& x) const;
  at::Tensor Normed(const Norm& norm, const at::Tensor& x) const;
  // x: [N, Cv], in the grid's order => [P, C], row by row
  at::Tensor Merge(const Merger& merger, const Grid& grid, const at::Tensor& x) const;

  const VisionConfig config_;
  const int64_t largest_tokens_;  // P
  const int64_t decoder_width_;
  const bool is_2_5_;  // Qwen2.5-VL: windows, RMS norms and a gated MLP
  const backend::LayerOps& ops_;
  const at::ScalarType dtype_;

  backend::LinearWeights patch_embedding_;  // [Cv, 3 * frames * patch * patch]
  at::Tensor positions_;                    // [1, Cv, side, side] float32, Qwen3-VL only
  std::vector<Layer> layers_;
  Merger merger_;
};

}  // namespace varserve::model
