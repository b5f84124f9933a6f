// config.json and generation_config.json of a Hugging Face LLaVA directory. Fields and defaults are those of
// LlavaConfig, LlamaConfig, CLIPVisionConfig and Dinov2Config. Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

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

struct RopeConfig {
  enum class Type : uint8_t { kDefault, kLinear, kLlama3 };
  Type type = Type::kDefault;
  double theta = 10000.0;
  double factor = 1.0;                              // kLinear, kLlama3
  double low_freq_factor = 1.0;                     // kLlama3
  double high_freq_factor = 4.0;                    // kLlama3
  int64_t original_max_position_embeddings = 8192;  // kLlama3
};

struct DecoderConfig {
  int hidden_size = 0;
  int intermediate_size = 0;
  int num_hidden_layers = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  int vocab_size = 0;
  int max_position_embeddings = 0;
  double rms_norm_eps = 0.0;
  bool tie_word_embeddings = false;
  RopeConfig rope;
};

struct ModelConfig {
  VisionConfig vision;
  DecoderConfig decoder;
  std::vector<int>
      vision_feature_layers;  // indices into the tower's hidden states, 0 being the embeddings; not negative
  bool drop_class_token = true;  // vision_feature_select_strategy "default"
  bool projector_bias = true;
  int32_t image_token_id = 0;
  std::string dtype;  // as stored: float32, float16, bfloat16
  std::vector<int32_t> eos_token_ids;

  // Reads DIR/config.json and, if there, DIR/generation_config.json. Messages name the file and the field.
  static absl::StatusOr<ModelConfig> Load(const std::string& model_dir);
};

}  // namespace varserve::model
