// config.json's vision_config: the vision tower. Fields and defaults are those of CLIPVisionConfig,
// SiglipVisionConfig, Dinov2Config, InternVLVisionConfig, Idefics3VisionConfig, Qwen2VLVisionConfig,
// Qwen2_5_VLVisionConfig and Qwen3VLVisionConfig.
// Plain data.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/base/json_fields.h"
#include "server/model/decoder_config.h"

namespace varserve::model {

enum class Activation : uint8_t { kGelu, kGeluTanh, kQuickGelu };

struct VisionConfig {
  enum class Kind : uint8_t {
    kClip,
    kSiglip,
    kDinov2,
    kInternVit,
    kIdefics3,
    kQwen2Vl,
    kQwen2_5Vl,
    kQwen3Vl
  };
  Kind kind = Kind::kClip;
  int hidden_size = 0;
  int intermediate_size = 0;
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int image_size = 0;  // the position embeddings' own, in pixels; not of Qwen's towers
  int patch_size = 0;  // pixels
  double layer_norm_eps = 0.0;
  Activation hidden_act = Activation::kGelu;
  int merge_size = 1;  // patches of a visual token, down and across

  // InternViT only.
  bool qkv_bias = true;
  bool qk_norm = false;   // RMS norms of q and k, over all heads together
  bool rms_norm = false;  // otherwise layer norms

  // Qwen's towers only.
  int temporal_patch_size = 0;  // frames of a patch, all equal for a picture
  double rope_theta = 0.0;
  int window_size = 0;                     // Qwen2.5-VL: pixels; 0: every layer attends to the whole picture
  std::vector<int> full_attention_layers;  // Qwen2.5-VL: those that do
  int position_side = 0;                   // Qwen3-VL: side of the square of position embeddings, in patches
  // Qwen3-VL: layers after which hidden states go to the decoder, in order: the first ones to its layer 0.
  std::vector<int> deepstack_layers;

  const char* name() const;
};

// `config` is all of config.json, and records errors. `supported`: clip_vision_model,
// siglip_vision_model, dinov2, idefics3_vision, with the names that files give this; the first is the
// default.
VisionConfig ReadVisionConfig(JsonFields& config, std::initializer_list<absl::string_view> supported);
// For InternVL, with what all of config.json says about its visual tokens.
VisionConfig ReadInternVitConfig(JsonFields& config);
// For Qwen2-VL, Qwen2.5-VL and Qwen3-VL, whose visual tokens go into `decoder`.
VisionConfig ReadQwenVisionConfig(JsonFields& config, VisionConfig::Kind kind, const DecoderConfig& decoder);

}  // namespace varserve::model
