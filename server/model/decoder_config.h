// config.json's text_config: the decoder. Fields and defaults are those of LlamaConfig, MistralConfig,
// Qwen2Config and Qwen3Config. Plain data.
#pragma once

#include <cstdint>

#include "server/base/json_fields.h"

namespace varserve::model {

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
  bool qkv_bias = false;  // of q, k and v, as in Qwen2
  bool qk_norm = false;   // RMS norms of each head's q and k before their rotation, as in Qwen3
  RopeConfig rope;
};

// `config` is all of config.json, and records errors.
DecoderConfig ReadDecoderConfig(JsonFields& config);

}  // namespace varserve::model
