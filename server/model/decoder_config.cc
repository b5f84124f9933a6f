#include "server/model/decoder_config.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "server/model/dimensions.h"

namespace varserve::model {
namespace {

using nlohmann::json;

double Required(JsonFields& fields, const char* key, double low, double high) {
  if (!fields.Has(key)) fields.Fail(key, "is missing");
  return fields.Number(key, low, low, high);
}

// Newer files hold everything in rope_parameters, older ones have rope_theta and rope_scaling beside each
// other; of both, rope_scaling counts.
RopeConfig ReadRope(JsonFields& text, int max_position_embeddings) {
  const char* const key =
      text.Has("rope_scaling") && !text.Find("rope_scaling")->empty() ? "rope_scaling" : "rope_parameters";
  JsonFields rope = text.Object(key);
  RopeConfig c;
  c.theta = rope.Number("rope_theta", text.Number("rope_theta", 10000.0, 1.0, 1e12), 1.0, 1e12);
  const char* const type_key = rope.Has("rope_type") ? "rope_type" : "type";
  const std::string type = rope.Choice(type_key, "default", {"default", "linear", "llama3"});
  if (type == "default") return c;

  c.factor = Required(rope, "factor", 1e-6, 1e6);
  for (JsonFields* fields : {&rope, &text}) {
    if (fields->Has("partial_rotary_factor")) fields->Neutral("partial_rotary_factor", 1.0);
  }
  if (type == "linear") {
    c.type = RopeConfig::Type::kLinear;
    return c;
  }
  c.type = RopeConfig::Type::kLlama3;
  c.low_freq_factor = Required(rope, "low_freq_factor", 1e-6, 1e6);
  c.high_freq_factor = Required(rope, "high_freq_factor", 1e-6, 1e6);
  if (c.high_freq_factor <= c.low_freq_factor) {
    rope.FailWithValue("high_freq_factor", "not greater than low_freq_factor");
  }
  constexpr char kOriginal[] = "original_max_position_embeddings";
  c.original_max_position_embeddings = text.Int(
      kOriginal, rope.Int(kOriginal, max_position_embeddings, 1, kMostOfAnything), 1, kMostOfAnything);
  return c;
}

// Llama attends to everything before a token, but transformers' cache of it obeys these fields nevertheless.
void RefuseWindows(JsonFields& fields, const DecoderConfig& c) {
  if (fields.Has("sliding_window") &&
      fields.Int("sliding_window", 0, 1, INT64_MAX) < c.max_position_embeddings) {
    fields.FailWithValue("sliding_window",
                         "less than max_position_embeddings: sliding windows are not supported");
  }
  fields.Neutral("attention_chunk_size", nullptr);
  if (fields.Has("layer_types")) {
    fields.Neutral("layer_types", json::array_t(c.num_hidden_layers, "full_attention"));
  }
}

}  // namespace

DecoderConfig ReadDecoderConfig(JsonFields& config) {
  JsonFields fields = config.Object("text_config");
  fields.Choice("model_type", "llama", {"llama"});
  DecoderConfig c;
  c.hidden_size = Dimension(fields, "hidden_size", 4096);
  c.intermediate_size = Dimension(fields, "intermediate_size", 11008);
  c.num_hidden_layers = Layers(fields, 32);
  c.num_attention_heads = Dimension(fields, "num_attention_heads", 32);
  c.num_key_value_heads =
      fields.Has("num_key_value_heads") ? Dimension(fields, "num_key_value_heads", 1) : c.num_attention_heads;
  c.head_dim =
      fields.Has("head_dim") ? Dimension(fields, "head_dim", 8) : c.hidden_size / c.num_attention_heads;
  c.vocab_size = Dimension(fields, "vocab_size", 32000);
  c.max_position_embeddings = Dimension(fields, "max_position_embeddings", 2048);
  c.rms_norm_eps = fields.Number("rms_norm_eps", 1e-6, 0.0, 1.0);
  const bool tied = fields.Bool("tie_word_embeddings", false);
  c.tie_word_embeddings = config.Bool("tie_word_embeddings", false) || tied;
  if (c.hidden_size % c.num_attention_heads != 0) {
    fields.FailWithValue("hidden_size", "not a multiple of num_attention_heads");
  }
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    fields.FailWithValue("num_attention_heads", "not a multiple of num_key_value_heads");
  }
  if (c.head_dim % 8 != 0) {
    // Not a field where it is computed.
    fields.Fail("head_dim", absl::StrCat("is ", c.head_dim, ", not a multiple of 8, which is not supported"));
  }
  fields.Choice("hidden_act", "silu", {"silu"});
  fields.Neutral("attention_bias", false);
  fields.Neutral("mlp_bias", false);
  if (fields.Has("pad_token_id")) fields.Int("pad_token_id", 0, -c.vocab_size, c.vocab_size - 1);
  RefuseWindows(fields, c);
  RefuseWhatChangesLayers(fields);
  RefuseQuantizedPart(fields);
  c.rope = ReadRope(fields, c.max_position_embeddings);
  return c;
}

}  // namespace varserve::model
