// config.json's vision_config: the vision tower. Fields and defaults are those of CLIPVisionConfig and
// Dinov2Config. Plain data.
#pragma once

#include <cstdint>

#include "server/base/json_fields.h"

namespace varserve::model {

struct VisionConfig {
  enum class Kind : uint8_t { kClip, kDinov2 };
  Kind kind = Kind::kClip;
  int hidden_size = 0;
  int intermediate_size = 0;
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int image_size = 0;  // the position embeddings' own, in pixels
  int patch_size = 0;
  double layer_norm_eps = 0.0;
  bool quick_gelu = false;  // otherwise exact GELU

  const char* name() const { return kind == Kind::kClip ? "clip" : "dinov2"; }
};

// `config` is all of config.json, and records errors.
VisionConfig ReadVisionConfig(JsonFields& config);

}  // namespace varserve::model
