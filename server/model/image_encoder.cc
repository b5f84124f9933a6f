#include "server/model/image_encoder.h"

#include <ATen/ATen.h>

#include <vector>

#include "server/model/projector.h"
#include "server/model/qwen_vision_tower.h"
#include "server/model/vision_tower.h"

namespace varserve::model {
namespace {

class LlavaImageEncoder : public ImageEncoder {
 public:
  LlavaImageEncoder(const ModelConfig& config, const image::ImageShape& shape, WeightLoader& weights,
                    const backend::LayerOps& ops, at::ScalarType dtype)
      : tower_(config, shape.height, shape.width, weights, ops, dtype), projector_(config, weights, ops) {}

  at::Tensor Encode(const ProcessedImage& image) const override {
    std::vector<float> pixels = image.Pixels();
    return projector_.Forward(tower_.Forward(at::from_blob(pixels.data(), {3, image.height, image.width})));
  }
  int64_t workspace_bytes() const override { return tower_.workspace_bytes(); }

 private:
  const VisionTower tower_;
  const Projector projector_;
};

}  // namespace

std::unique_ptr<const ImageEncoder> MakeImageEncoder(const ModelConfig& config,
                                                     const image::ImageShape& largest, WeightLoader& weights,
                                                     const backend::LayerOps& ops,
                                                     at::ScalarType activation_dtype) {
  switch (config.vision.kind) {
    case VisionConfig::Kind::kClip:
    case VisionConfig::Kind::kDinov2:
      return std::make_unique<const LlavaImageEncoder>(config, largest, weights, ops, activation_dtype);
    case VisionConfig::Kind::kQwen2Vl:
    case VisionConfig::Kind::kQwen2_5Vl:
      return std::make_unique<const QwenVisionTower>(config, largest, weights, ops, activation_dtype);
  }
  return nullptr;
}

}  // namespace varserve::model
