// From processed images to visual tokens: a family's vision tower with its projector. Const after
// construction; thread-compatible.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "server/backend/layer_ops.h"
#include "server/base/prompt.h"
#include "server/image/image_processor.h"
#include "server/model/model_config.h"
#include "server/model/weight_loader.h"

namespace varserve::model {

// What the decoder takes of an image: of the T tokens of its layout, newlines among them but no tile text, in
// the activation dtype.
struct EncodedImage {
  at::Tensor embeddings;  // [T, C]
  // DeepStack: [T, C] each, added to their hidden states after the decoder's layer 0, 1, ...
  std::vector<at::Tensor> deepstack;
};

class ImageEncoder {
 public:
  virtual ~ImageEncoder() = default;

  virtual EncodedImage Encode(const ProcessedImage& image) const = 0;
  // Bytes that Encode takes at its peak, for the largest image.
  virtual int64_t workspace_bytes() const = 0;
};

// That of config.family. No image is larger than `largest`. Errors show in the loader's status; `ops` must
// outlive the result.
std::unique_ptr<const ImageEncoder> MakeImageEncoder(const ModelConfig& config,
                                                     const image::ImageShape& largest, WeightLoader& weights,
                                                     const backend::LayerOps& ops,
                                                     at::ScalarType activation_dtype);

}  // namespace varserve::model
