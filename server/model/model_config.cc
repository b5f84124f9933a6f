#include "server/model/model_config.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/model/json_fields.h"

namespace varserve::model {
namespace {

using nlohmann::json;

constexpr int64_t kMost = 1 << 24;  // no dimension is larger

int Dimension(JsonFields& fields, const char* key, int64_t fallback) {
  return static_cast<int>(fields.Int(key, fallback, 1, kMost));
}

absl::StatusOr<VisionConfig> ReadVision(const json& object, const std::string& where) {
  JsonFields fields(object, where);
  VisionConfig c;
  const std::string type = fields.String("model_type", "clip_vision_model");
  std::string activation;
  if (type == "clip_vision_model") {
    c.hidden_size = Dimension(fields, "hidden_size", 768);
    c.intermediate_size = Dimension(fields, "intermediate_size", 3072);
    c.num_hidden_layers = Dimension(fields, "num_hidden_layers", 12);
    c.num_attention_heads = Dimension(fields, "num_attention_heads", 12);
    c.image_size = Dimension(fields, "image_size", 224);
    c.patch_size = Dimension(fields, "patch_size", 32);
    c.layer_norm_eps = fields.Double("layer_norm_eps", 1e-5, 0.0, 1.0);
    activation = fields.String("hidden_act", "quick_gelu");
  } else if (type == "dinov2") {
    c.kind = VisionConfig::Kind::kDinov2;
    c.hidden_size = Dimension(fields, "hidden_size", 768);
    c.intermediate_size = c.hidden_size * Dimension(fields, "mlp_ratio", 4);
    c.num_hidden_layers = Dimension(fields, "num_hidden_layers", 12);
    c.num_attention_heads = Dimension(fields, "num_attention_heads", 12);
    c.image_size = Dimension(fields, "image_size", 224);
    c.patch_size = Dimension(fields, "patch_size", 14);
    c.layer_norm_eps = fields.Double("layer_norm_eps", 1e-6, 0.0, 1.0);
    activation = fields.String("hidden_act", "gelu");
    if (fields.Bool("use_swiglu_ffn", false))
      fields.Fail("use_swiglu_ffn", "is true, which is not supported");
    if (!fields.Bool("qkv_bias", true)) fields.Fail("qkv_bias", "is false, which is not supported");
  } else {
    fields.Fail("model_type", absl::StrCat("is \"", type, "\"; supported: clip_vision_model, dinov2"));
  }
  if (fields.Int("num_channels", 3, 1, kMost) != 3) fields.Fail("num_channels", "is not 3");
  if (activation != "gelu" && activation != "quick_gelu") {
    fields.Fail("hidden_act", absl::StrCat("is \"", activation, "\"; supported: gelu, quick_gelu"));
  }
  c.quick_gelu = activation == "quick_gelu";
  if (c.num_attention_heads > 0 && c.hidden_size % c.num_attention_heads != 0) {
    fields.Fail("hidden_size", "is not a multiple of num_attention_heads");
  }
  RETURN_IF_ERROR(fields.status());
  return c;
}

absl::StatusOr<RopeConfig> ReadRope(JsonFields& text, const std::string& where) {
  // Newer files hold everything in rope_parameters, older ones rope_theta and rope_scaling.
  const bool newer = text.Has("rope_parameters");
  JsonFields rope(text.Object(newer ? "rope_parameters" : "rope_scaling"),
                  absl::StrCat(where, newer ? ".rope_parameters" : ".rope_scaling"));
  RopeConfig c;
  c.theta = rope.Double("rope_theta", text.Double("rope_theta", 10000.0, 1.0, 1e12), 1.0, 1e12);
  const std::string type = rope.String("rope_type", rope.String("type", "default"));
  if (type == "default") {
    c.type = RopeConfig::Type::kDefault;
  } else if (type == "linear") {
    c.type = RopeConfig::Type::kLinear;
    c.factor = rope.Double("factor", 1.0, 1.0, 1e6);
  } else if (type == "llama3") {
    c.type = RopeConfig::Type::kLlama3;
    c.factor = rope.Double("factor", 8.0, 1.0, 1e6);
    c.low_freq_factor = rope.Double("low_freq_factor", 1.0, 1e-6, 1e6);
    c.high_freq_factor = rope.Double("high_freq_factor", 4.0, 1e-6, 1e6);
    c.original_max_position_embeddings = rope.Int("original_max_position_embeddings", 8192, 1, kMost);
    if (c.high_freq_factor <= c.low_freq_factor)
      rope.Fail("high_freq_factor", "is not greater than low_freq_factor");
  } else {
    rope.Fail("rope_type", absl::StrCat("is \"", type, "\"; supported: default, linear, llama3"));
  }
  RETURN_IF_ERROR(rope.status());
  return c;
}

absl::StatusOr<DecoderConfig> ReadDecoder(const json& object, const std::string& where) {
  JsonFields fields(object, where);
  const std::string type = fields.String("model_type", "llama");
  if (type != "llama") fields.Fail("model_type", absl::StrCat("is \"", type, "\"; supported: llama"));
  DecoderConfig c;
  c.hidden_size = Dimension(fields, "hidden_size", 4096);
  c.intermediate_size = Dimension(fields, "intermediate_size", 11008);
  c.num_hidden_layers = Dimension(fields, "num_hidden_layers", 32);
  c.num_attention_heads = Dimension(fields, "num_attention_heads", 32);
  c.num_key_value_heads = Dimension(fields, "num_key_value_heads", c.num_attention_heads);
  c.head_dim = Dimension(fields, "head_dim", c.hidden_size / c.num_attention_heads);
  c.vocab_size = Dimension(fields, "vocab_size", 32000);
  c.max_position_embeddings = Dimension(fields, "max_position_embeddings", 2048);
  c.rms_norm_eps = fields.Double("rms_norm_eps", 1e-6, 0.0, 1.0);
  c.tie_word_embeddings = fields.Bool("tie_word_embeddings", false);
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    fields.Fail("num_attention_heads", "is not a multiple of num_key_value_heads");
  }
  if (c.head_dim % 8 != 0) fields.Fail("head_dim", absl::StrCat("is ", c.head_dim, ", not a multiple of 8"));
  for (const char* bias : {"attention_bias", "mlp_bias"}) {
    if (fields.Bool(bias, false)) fields.Fail(bias, "is true, which is not supported");
  }
  if (const std::string act = fields.String("hidden_act", "silu"); act != "silu") {
    fields.Fail("hidden_act", absl::StrCat("is \"", act, "\"; supported: silu"));
  }
  ASSIGN_OR_RETURN(c.rope, ReadRope(fields, where));
  RETURN_IF_ERROR(fields.status());
  return c;
}

}  // namespace

absl::StatusOr<ModelConfig> ModelConfig::Load(const std::string& model_dir) {
  const std::string path = absl::StrCat(model_dir, "/config.json");
  ASSIGN_OR_RETURN(const json root, ReadJsonFile(path));
  JsonFields fields(root, path);
  if (const std::string type = fields.String("model_type", ""); type != "llava") {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": model_type is \"", type, "\"; this server loads LLaVA models (model_type \"llava\")"));
  }
  ModelConfig c;
  ASSIGN_OR_RETURN(c.vision,
                   ReadVision(fields.Object("vision_config"), absl::StrCat(path, ": vision_config")));
  const json text = fields.Object("text_config");
  ASSIGN_OR_RETURN(c.decoder, ReadDecoder(text, absl::StrCat(path, ": text_config")));
  c.decoder.tie_word_embeddings = fields.Bool("tie_word_embeddings", c.decoder.tie_word_embeddings);

  const int64_t states = c.vision.num_hidden_layers + 1;
  for (const int64_t layer : fields.Ints("vision_feature_layer", {-2})) {
    if (layer < -states || layer >= states) {
      fields.Fail("vision_feature_layer",
                  absl::StrCat("is ", layer, ", but the tower has ", states, " hidden states"));
    }
    c.vision_feature_layers.push_back(static_cast<int>(layer < 0 ? layer + states : layer));
  }
  if (c.vision_feature_layers.empty()) fields.Fail("vision_feature_layer", "is empty");
  const std::string strategy = fields.String("vision_feature_select_strategy", "default");
  if (strategy != "default" && strategy != "full") {
    fields.Fail("vision_feature_select_strategy",
                absl::StrCat("is \"", strategy, "\"; supported: default, full"));
  }
  c.drop_class_token = strategy == "default";
  if (const std::string act = fields.String("projector_hidden_act", "gelu"); act != "gelu") {
    fields.Fail("projector_hidden_act", absl::StrCat("is \"", act, "\"; supported: gelu"));
  }
  c.projector_bias = fields.Bool("multimodal_projector_bias", true);
  c.image_token_id = static_cast<int32_t>(
      fields.Int("image_token_index", fields.Int("image_token_id", 32000, 0, c.decoder.vocab_size - 1), 0,
                 c.decoder.vocab_size - 1));
  JsonFields text_fields(text, absl::StrCat(path, ": text_config"));
  const auto dtype_of = [](JsonFields& f, const std::string& fallback) {
    return f.String("dtype", f.String("torch_dtype", fallback));
  };
  c.dtype = dtype_of(fields, dtype_of(text_fields, "float32"));
  std::vector<int64_t> eos = fields.Ints("eos_token_id", text_fields.Ints("eos_token_id", {2}));
  RETURN_IF_ERROR(fields.status());
  RETURN_IF_ERROR(text_fields.status());

  const std::string generation_path = absl::StrCat(model_dir, "/generation_config.json");
  if (absl::StatusOr<json> generation = ReadJsonFile(generation_path); generation.ok()) {
    JsonFields generation_fields(*generation, generation_path);
    eos = generation_fields.Ints("eos_token_id", eos);
    RETURN_IF_ERROR(generation_fields.status());
  } else if (!absl::IsNotFound(generation.status())) {
    return generation.status();
  }
  c.eos_token_ids.assign(eos.begin(), eos.end());
  return c;
}

}  // namespace varserve::model
