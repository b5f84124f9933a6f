#include "server/model/image_encoder.h"

#include <ATen/ATen.h>

#include "server/model/projector.h"
#include "server/model/qwen_vision_tower.h"
#include "server/model/vision_tower.h"

namespace varserve::model {
namespace {

// A tower and a projector that see an image tile by tile; one tile is the whole image of most families.
class TileEncoder : public ImageEncoder {
 public:
  TileEncoder(const ModelConfig& config, const image::ImageShape& largest, WeightLoader& weights,
              const backend::LayerOps& ops, at::ScalarType dtype)
      : tower_(config, largest.height, largest.width, weights, ops, dtype),
        projector_(config, weights, ops),
        tile_(largest),
        patch_size_(config.vision.patch_size),
        merge_size_(config.vision.merge_size),
        flat_square_(config.flat_square),
        width_(config.decoder.hidden_size) {
    if (!config.image_newline) return;
    newline_ = weights.LoadFloat("image_newline", {width_});
    if (weights.status().ok()) newline_ = newline_.to(dtype).view({1, -1});
  }

  EncodedImage Encode(const ProcessedImage& image) const override {
    std::vector<float> values = image.Pixels();
    const at::Tensor pixels = at::from_blob(values.data(), {3, image.height, image.width});
    std::vector<at::Tensor> tiles;
    for (int64_t top = 0; top < image.height; top += tile_.height) {
      const at::Tensor features = tower_.Forward(pixels.narrow(1, top, tile_.height));
      tiles.push_back(projector_.Forward(Merged(features)));
    }
    if (newline_.defined())
      return {.embeddings = Joined(tiles, image.layout->joined.value()), .deepstack = {}};
    return {.embeddings = tiles.size() == 1 ? tiles.front() : at::cat(tiles), .deepstack = {}};
  }

  int64_t workspace_bytes() const override {
    // The tower works on one tile; before it there are all pixels, after it all visual tokens, twice while
    // they are put together.
    const int64_t pixels = int64_t{3} * tile_.height * tile_.width;
    const int64_t tokens =
        int64_t{tile_.height / patch_size_ / merge_size_} * (tile_.width / patch_size_ / merge_size_);
    const int64_t others = tile_.tiles > 1 ? tile_.tiles * (pixels + 2 * tokens * width_) : 0;
    return tower_.workspace_bytes() + static_cast<int64_t>(sizeof(float)) * others;
  }

 private:
  // tiles: [P, C] each, the thumbnail first => [tokens of the layout, C]. As transformers'
  // pack_image_features.
  at::Tensor Joined(const std::vector<at::Tensor>& tiles, const JoinedTiles& joined) const {
    const TileGrid& t = joined.tiles;
    if (t.down == 0) return at::cat({tiles.front(), newline_});
    if (joined.rows == 0) return tiles.front();
    at::Tensor grid = at::cat(at::TensorList(tiles).slice(1))
                          .view({t.down, t.across, t.rows, t.cols, width_})
                          .permute({0, 2, 1, 3, 4})
                          .reshape({int64_t{t.down} * t.rows, int64_t{t.across} * t.cols, width_});
    grid = grid.narrow(0, (grid.size(0) - joined.kept_rows) / 2, joined.kept_rows)
               .narrow(1, (grid.size(1) - joined.kept_cols) / 2, joined.kept_cols);
    if (joined.rows != joined.kept_rows || joined.cols != joined.kept_cols) {
      grid = at::upsample_bilinear2d(grid.permute({2, 0, 1}).unsqueeze(0), {joined.rows, joined.cols},
                                     /*align_corners=*/false)
                 .squeeze(0)
                 .permute({1, 2, 0});
    }
    grid = at::cat({grid, newline_.expand({joined.rows, 1, width_})}, 1);  // [rows, cols + 1, C]
    return at::cat({tiles.front(), grid.flatten(0, 1)});
  }

  // The patches of each visual token next to each other, row by row. [patches, Cv] => [P, M M Cv]
  at::Tensor Merged(const at::Tensor& features) const {
    if (merge_size_ == 1) return features;
    at::Tensor grid = features.unflatten(0, {tile_.height / patch_size_, tile_.width / patch_size_});
    if (flat_square_) grid = at::constant_pad_nd(grid, {0, 0, 0, grid.size(1) % 2, 0, grid.size(0) % 2});
    const int64_t rows = grid.size(0) / merge_size_;
    const int64_t cols = grid.size(1) / merge_size_;
    grid = grid.reshape({rows, merge_size_, cols, merge_size_, -1}).transpose(1, 2);
    if (flat_square_) grid = grid.transpose(0, 1);
    return grid.reshape({rows * cols, -1});
  }

  const VisionTower tower_;
  const Projector projector_;
  const image::ImageShape tile_;
  const int patch_size_;  // pixels
  const int merge_size_;
  const bool flat_square_;
  const int64_t width_;  // of the decoder
  at::Tensor newline_;   // [1, C] in the activation dtype; undefined: tiles are not joined
};

}  // namespace

std::unique_ptr<const ImageEncoder> MakeImageEncoder(const ModelConfig& config,
                                                     const image::ImageShape& largest, WeightLoader& weights,
                                                     const backend::LayerOps& ops,
                                                     at::ScalarType activation_dtype) {
  switch (config.vision.kind) {
    case VisionConfig::Kind::kClip:
    case VisionConfig::Kind::kSiglip:
    case VisionConfig::Kind::kDinov2:
    case VisionConfig::Kind::kInternVit:
    case VisionConfig::Kind::kIdefics3:
      return std::make_unique<const TileEncoder>(config, largest, weights, ops, activation_dtype);
    case VisionConfig::Kind::kQwen2Vl:
    case VisionConfig::Kind::kQwen2_5Vl:
    case VisionConfig::Kind::kQwen3Vl:
      return std::make_unique<const QwenVisionTower>(config, largest, weights, ops, activation_dtype);
  }
  return nullptr;
}

}  // namespace varserve::model
