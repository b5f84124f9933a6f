// config.json's vision_config: the vision tower. Fields and defaults are those of CLIPVisionConfig,
// SiglipVisionConfig, Dinov2Config, InternVLVisionConfig, Qwen2VLVisionConfig and Qwen2_5_VLVisionConfig.
// Plain data.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/base/json_fields.h"

namespace varserve::model {

struct VisionConfig {
  enum class Kind : uint8_t { kClip, kSiglip, kDinov2, kInternVit, kQwen2Vl, kQwen2_5Vl };
  Kind kind = Kind::kClip;
  int hidden_size = 0;
  int intermediate_size = 0;
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int image_size = 0;  // the position embeddings' own, in pixels; Qwen's towers have none
  int patch_size = 0;  // pixels
  double layer_norm_eps = 0.0;
  bool quick_gelu = false;  // otherwise exact GELU, or
  bool tanh_gelu = false;   // its approximation by tanh
  int merge_size = 1;       // patches of a visual token, down and across

  // InternViT only.
  bool qkv_bias = true;
  bool qk_norm = false;   // RMS norms of q and k, over all heads together
  bool rms_norm = false;  // otherwise layer norms

  // Qwen's towers only.
  int temporal_patch_size = 0;  // frames of a patch, all equal for a picture
  double rope_theta = 0.0;
  int window_size = 0;                     // Qwen2.5-VL: pixels; 0: every layer attends to the whole picture
  std::vector<int> full_attention_layers;  // Qwen2.5-VL: those that do

  const char* name() const;
};

// `config` is all of config.json, and records errors. `supported`: clip_vision_model,
// siglip_vision_model, dinov2; the first is the default.
VisionConfig ReadVisionConfig(JsonFields& config, std::initializer_list<absl::string_view> supported);
// For InternVL, with what all of config.json says about its visual tokens.
VisionConfig ReadInternVitConfig(JsonFields& config);
// For Qwen2-VL and Qwen2.5-VL; visual tokens have `width`, the decoder's.
VisionConfig ReadQwenVisionConfig(JsonFields& config, VisionConfig::Kind kind, int width);

}  // namespace varserve::model
