// The decoder's part of config.json. Fields and defaults are those of LlamaConfig, MistralConfig,
// Qwen2Config, Qwen3Config, Qwen2VLTextConfig, Qwen2_5_VLTextConfig and Qwen3VLTextConfig. Plain data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
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
  // M-RoPE: how many pairs of a head's dimensions turn by a token's position in time, height and width, in
  // this order. Empty: all turn by the position in the sequence.
  std::vector<int> mrope_section;
  // The pairs of the three axes alternate, T H W T H W ..., while height and width have any left; all others
  // turn by the time. Otherwise each axis' pairs follow each other.
  bool mrope_interleaved = false;

  // Numbers that a token's position has.
  int num_axes() const { return mrope_section.empty() ? 1 : static_cast<int>(mrope_section.size()); }
};

struct DecoderConfig {
  std::string model_type;
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

// `config` is all of config.json, `text` the decoder's part: text_config, or the same object where the file
// has no parts. `type` is the decoder's model_type: llama, mistral, qwen2, qwen3, qwen2_vl_text,
// qwen2_5_vl_text or qwen3_vl_text. Both record errors.
DecoderConfig ReadDecoderConfig(JsonFields& config, JsonFields& text, absl::string_view type);

}  // namespace varserve::model
