#include "server/model/decoder_config.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "server/model/dimensions.h"

namespace varserve::model {
namespace {

using nlohmann::json;

double Required(JsonFields& fields, const char* key, double low, double high) {
  if (!fields.Has(key)) fields.Fail(key, "is missing");
  return fields.Number(key, low, low, high);
}

// How a decoder's dimensions turn by the three axes of M-RoPE, if it has that.
enum class Mrope : uint8_t { kNone, kInSections, kInterleaved };

// What a decoder of this model_type has where config.json says nothing.
struct Defaults {
  absl::string_view model_type;
  int hidden_size;
  int intermediate_size;
  int num_hidden_layers;
  int num_attention_heads;
  int num_key_value_heads;  // 0: as many as heads
  int head_dim;             // 0: width over heads
  int vocab_size;
  int max_position_embeddings;
  double rms_norm_eps;
  double rope_theta;
  int sliding_window;  // 0: none
  bool qkv_bias;
  bool qk_norm;
  Mrope mrope;
};
constexpr Defaults kDecoders[] = {
    {"llama", 4096, 11008, 32, 32, 0, 0, 32000, 2048, 1e-6, 1e4, 0, false, false, Mrope::kNone},
    {"mistral", 4096, 14336, 32, 32, 8, 0, 32000, 131072, 1e-6, 1e4, 4096, false, false, Mrope::kNone},
    {"qwen2", 4096, 22016, 32, 32, 32, 0, 151936, 32768, 1e-6, 1e4, 0, true, false, Mrope::kNone},
    {"qwen3", 4096, 22016, 32, 32, 32, 128, 151936, 32768, 1e-6, 1e4, 0, false, true, Mrope::kNone},
    {"qwen2_vl_text", 8192, 29568, 80, 64, 8, 0, 152064, 32768, 1e-5, 1e6, 0, true, false,
     Mrope::kInSections},
    {"qwen2_5_vl_text", 8192, 29568, 80, 64, 8, 0, 152064, 32768, 1e-5, 1e6, 0, true, false,
     Mrope::kInSections},
    {"qwen3_vl_text", 4096, 22016, 32, 32, 32, 128, 151936, 128000, 1e-6, 5e5, 0, false, true,
     Mrope::kInterleaved},
};

std::vector<int> ReadMropeSection(JsonFields& rope, const std::vector<int64_t>& fallback, int head_dim) {
  constexpr char kKey[] = "mrope_section";
  const std::vector<int64_t> section = rope.Ints(kKey, fallback);
  const bool sizes = std::all_of(section.begin(), section.end(),
                                 [](int64_t pairs) { return pairs >= 0 && pairs <= kMostOfAnything; });
  if (section.size() != 3 || !sizes ||
      std::accumulate(section.begin(), section.end(), int64_t{0}) != head_dim / 2) {
    rope.Fail(kKey, absl::StrCat("is [", absl::StrJoin(section, ","),
                                 "], not three sizes that add up to half a head, ", head_dim / 2));
    return {};
  }
  return {section.begin(), section.end()};
}

// Newer files hold everything in rope_parameters, older ones have rope_theta and rope_scaling next to
// each other; of both, rope_scaling counts.
RopeConfig ReadRope(JsonFields& text, const Defaults& defaults, const DecoderConfig& decoder) {
  const char* const key =
      text.Has("rope_scaling") && !text.Find("rope_scaling")->empty() ? "rope_scaling" : "rope_parameters";
  JsonFields rope = text.Object(key);
  RopeConfig c;
  c.theta = rope.Number("rope_theta", text.Number("rope_theta", defaults.rope_theta, 1.0, 1e12), 1.0, 1e12);
  const char* const type_key = rope.Has("rope_type") ? "rope_type" : "type";
  if (defaults.mrope == Mrope::kInSections) {
    rope.Choice(type_key, "mrope", {"mrope", "default"});
    c.mrope_section = ReadMropeSection(rope, {16, 24, 24}, decoder.head_dim);
    return c;
  }
  if (defaults.mrope == Mrope::kInterleaved) {
    rope.Choice(type_key, "default", {"default"});
    rope.Neutral("mrope_interleaved", true);
    c.mrope_interleaved = true;
    c.mrope_section = ReadMropeSection(rope, {24, 20, 20}, decoder.head_dim);
    return c;
  }
  const std::string type = rope.Choice(type_key, "default", {"default", "dynamic", "linear", "llama3"});
  if (type == "default") return c;

  c.factor = Required(rope, "factor", 1e-6, 1e6);
  for (JsonFields* fields : {&rope, &text}) {
    if (fields->Has("partial_rotary_factor")) fields->Neutral("partial_rotary_factor", 1.0);
  }
  if (type == "dynamic") return c;  // nothing changes up to max_position_embeddings, where the context ends
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
  c.original_max_position_embeddings =
      text.Int(kOriginal, rope.Int(kOriginal, decoder.max_position_embeddings, 1, kMostOfAnything), 1,
               kMostOfAnything);
  return c;
}

// Llama attends to everything before a token, but transformers' cache of it obeys these fields nevertheless.
void RefuseWindows(JsonFields& fields, const DecoderConfig& c, const Defaults& defaults) {
  // Qwen says whether it uses the window that it describes.
  const bool unused =
      absl::StartsWith(defaults.model_type, "qwen") && !fields.Bool("use_sliding_window", false);
  const bool absent = !fields.Has("sliding_window") && !fields.IsNull("sliding_window");
  if (fields.Has("sliding_window") && !unused &&
      fields.Int("sliding_window", 0, 1, INT64_MAX) < c.max_position_embeddings) {
    fields.FailWithValue("sliding_window",
                         "less than max_position_embeddings: sliding windows are not supported");
  }
  if (absent && defaults.sliding_window > 0 && defaults.sliding_window < c.max_position_embeddings) {
    fields.Fail("sliding_window", absl::StrCat("is missing, which means ", defaults.sliding_window,
                                               ": sliding windows are not supported; null is none"));
  }
  fields.Neutral("attention_chunk_size", nullptr);
  if (fields.Has("layer_types")) {
    fields.Neutral("layer_types", json::array_t(c.num_hidden_layers, "full_attention"));
  }
}

}  // namespace

DecoderConfig ReadDecoderConfig(JsonFields& config, JsonFields& fields, absl::string_view type) {
  const Defaults& defaults =
      *std::find_if(std::begin(kDecoders), std::end(kDecoders) - 1,
                    [&](const Defaults& decoder) { return decoder.model_type == type; });
  DecoderConfig c;
  c.model_type = std::string(type);
  c.qkv_bias = defaults.qkv_bias;
  c.qk_norm = defaults.qk_norm;
  c.hidden_size = Dimension(fields, "hidden_size", defaults.hidden_size);
  c.intermediate_size = Dimension(fields, "intermediate_size", defaults.intermediate_size);
  c.num_hidden_layers = Layers(fields, defaults.num_hidden_layers);
  c.num_attention_heads = Dimension(fields, "num_attention_heads", defaults.num_attention_heads);
  c.num_key_value_heads = fields.Has("num_key_value_heads")   ? Dimension(fields, "num_key_value_heads", 1)
                          : defaults.num_key_value_heads == 0 ? c.num_attention_heads
                                                              : defaults.num_key_value_heads;
  c.head_dim = fields.Has("head_dim")   ? Dimension(fields, "head_dim", 8)
               : defaults.head_dim == 0 ? c.hidden_size / c.num_attention_heads
                                        : defaults.head_dim;
  c.vocab_size = Dimension(fields, "vocab_size", defaults.vocab_size);
  c.max_position_embeddings = Dimension(fields, "max_position_embeddings", defaults.max_position_embeddings);
  c.rms_norm_eps = fields.Number("rms_norm_eps", defaults.rms_norm_eps, 0.0, 1.0);
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
  RefuseWindows(fields, c, defaults);
  RefuseWhatChangesLayers(fields);
  c.rope = ReadRope(fields, defaults, c);
  return c;
}

}  // namespace varserve::model
