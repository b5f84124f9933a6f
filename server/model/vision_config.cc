#include "server/model/vision_config.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/model/dimensions.h"

namespace varserve::model {
namespace {

// What a tower has where config.json says nothing. A vision_config has the defaults of its class; where there
// is none, LlavaConfig takes CLIP ViT-L/14 at 336 pixels, LlavaOnevisionConfig SigLIP-so400m at 384.
const VisionConfig kClip = {.kind = VisionConfig::Kind::kClip,
                            .hidden_size = 768,
                            .intermediate_size = 3072,
                            .num_hidden_layers = 12,
                            .num_attention_heads = 12,
                            .image_size = 224,
                            .patch_size = 32,
                            .layer_norm_eps = 1e-5,
                            .hidden_act = Activation::kQuickGelu};
const VisionConfig kLlava = {.kind = VisionConfig::Kind::kClip,
                             .hidden_size = 1024,
                             .intermediate_size = 4096,
                             .num_hidden_layers = 24,
                             .num_attention_heads = 16,
                             .image_size = 336,
                             .patch_size = 14,
                             .layer_norm_eps = 1e-5,
                             .hidden_act = Activation::kQuickGelu};
const VisionConfig kSiglip = {.kind = VisionConfig::Kind::kSiglip,
                              .hidden_size = 768,
                              .intermediate_size = 3072,
                              .num_hidden_layers = 12,
                              .num_attention_heads = 12,
                              .image_size = 224,
                              .patch_size = 16,
                              .layer_norm_eps = 1e-6,
                              .hidden_act = Activation::kGeluTanh};
const VisionConfig kOnevision = {.kind = VisionConfig::Kind::kSiglip,
                                 .hidden_size = 1152,
                                 .intermediate_size = 4304,
                                 .num_hidden_layers = 26,
                                 .num_attention_heads = 16,
                                 .image_size = 384,
                                 .patch_size = 14,
                                 .layer_norm_eps = 1e-6,
                                 .hidden_act = Activation::kGeluTanh};
const VisionConfig kIdefics3 = {.kind = VisionConfig::Kind::kIdefics3,
                                .hidden_size = 1152,
                                .intermediate_size = 3072,
                                .num_hidden_layers = 12,
                                .num_attention_heads = 16,
                                .image_size = 224,
                                .patch_size = 32,
                                .layer_norm_eps = 1e-6,
                                .hidden_act = Activation::kGeluTanh};
const VisionConfig kDinov2 = {.kind = VisionConfig::Kind::kDinov2,
                              .hidden_size = 768,
                              .num_hidden_layers = 12,
                              .num_attention_heads = 12,
                              .image_size = 224,
                              .patch_size = 14,
                              .layer_norm_eps = 1e-6};
const VisionConfig kInternVit = {.kind = VisionConfig::Kind::kInternVit,
                                 .hidden_size = 1024,
                                 .intermediate_size = 4096,
                                 .num_hidden_layers = 24,
                                 .num_attention_heads = 16,
                                 .image_size = 448,
                                 .patch_size = 14,
                                 .layer_norm_eps = 1e-6,
                                 .merge_size = 2};
constexpr int kMaxMlpRatio = 64;
constexpr int64_t kMostPatchPixels = 1 << 10;

// The norms of Qwen's towers and mergers, which no field describes.
constexpr double kQwenNormEps = 1e-6;

// One number, or two equal ones: height and width.
int ReadSide(JsonFields& fields, const char* key, int fallback) {
  const std::vector<int64_t> sides = fields.Ints(key, {fallback});
  const bool square = sides.size() == 1 || (sides.size() == 2 && sides[0] == sides[1]);
  if (!square || sides[0] < 1 || sides[0] > kMostOfAnything) {
    fields.FailWithValue(key, "not one side, or height and width of a square");
    return fallback;
  }
  return static_cast<int>(sides[0]);
}

Activation ReadActivation(JsonFields& fields, Activation fallback) {
  static constexpr const char* kNames[] = {"gelu", "gelu_pytorch_tanh", "quick_gelu"};  // by Activation
  const std::string name =
      fields.Choice("hidden_act", kNames[static_cast<size_t>(fallback)], {kNames[0], kNames[1], kNames[2]});
  return static_cast<Activation>(std::find(std::begin(kNames), std::end(kNames) - 1, name) - kNames);
}

void ReadWindows(JsonFields& fields, VisionConfig& c) {
  c.window_size = Dimension(fields, "window_size", 112);
  const int64_t token_size = int64_t{c.patch_size} * c.merge_size;
  if (c.window_size < token_size) {
    fields.FailWithValue("window_size", absl::StrCat("less than a visual token, ", token_size, " pixels"));
  }
  constexpr char kKey[] = "fullatt_block_indexes";
  for (const int64_t layer : fields.Ints(kKey, {7, 15, 23, 31})) {
    if (layer < 0) fields.FailWithValue(kKey, "which has a negative layer");
    c.full_attention_layers.push_back(static_cast<int>(std::clamp<int64_t>(layer, 0, kMostLayers)));
  }
}

// A square of embeddings, row by row.
void ReadPositions(JsonFields& fields, VisionConfig& c) {
  constexpr char kKey[] = "num_position_embeddings";
  const int64_t positions = fields.Int(kKey, 48 * 48, 1, kMostOfAnything);
  c.position_side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(positions))));
  if (int64_t{c.position_side} * c.position_side != positions) fields.FailWithValue(kKey, "not a square");
}

void ReadDeepstack(JsonFields& fields, int decoder_layers, VisionConfig& c) {
  constexpr char kKey[] = "deepstack_visual_indexes";
  int64_t least = 0;
  for (const int64_t layer : fields.Ints(kKey, {8, 16, 24})) {
    if (layer < least || layer >= c.num_hidden_layers) {
      fields.FailWithValue(
          kKey, absl::StrCat("not increasing indices of the tower's ", c.num_hidden_layers, " layers"));
      return;
    }
    c.deepstack_layers.push_back(static_cast<int>(layer));
    least = layer + 1;
  }
  if (static_cast<int64_t>(c.deepstack_layers.size()) >= decoder_layers) {
    fields.FailWithValue(kKey, absl::StrCat("not fewer than the decoder's layers, ", decoder_layers));
  }
}

// What a vision_config of Qwen's has where it says nothing, and what its widths are called.
struct QwenDefaults {
  const char* width_key;  // the tower's
  const char* out_key;    // the visual tokens'
  int width;
  int intermediate_size;  // 0: by mlp_ratio
  int depth;
  int patch_size;
  Activation hidden_act;
};

const QwenDefaults& DefaultsOf(VisionConfig::Kind kind) {
  static constexpr QwenDefaults kQwen2Vl = {"embed_dim", "hidden_size",         1280, 0, 32,
                                            14,          Activation::kQuickGelu};
  static constexpr QwenDefaults kQwen2_5Vl = {"hidden_size", "out_hidden_size", 3584, 3420, 32, 14, {}};
  static constexpr QwenDefaults kQwen3Vl = {"hidden_size",        "out_hidden_size", 1152, 4304, 27, 16,
                                            Activation::kGeluTanh};
  return kind == VisionConfig::Kind::kQwen2Vl     ? kQwen2Vl
         : kind == VisionConfig::Kind::kQwen2_5Vl ? kQwen2_5Vl
                                                  : kQwen3Vl;
}

}  // namespace

const char* VisionConfig::name() const {
  switch (kind) {
    case Kind::kClip:
      return "clip";
    case Kind::kSiglip:
      return "siglip";
    case Kind::kDinov2:
      return "dinov2";
    case Kind::kInternVit:
      return "intern_vit";
    case Kind::kIdefics3:
      return "idefics3";
    case Kind::kQwen2Vl:
      return "qwen2_vl";
    case Kind::kQwen2_5Vl:
      return "qwen2_5_vl";
    case Kind::kQwen3Vl:
      return "qwen3_vl";
  }
  return "";
}

VisionConfig ReadQwenVisionConfig(JsonFields& config, VisionConfig::Kind kind, const DecoderConfig& decoder) {
  JsonFields fields = config.Object("vision_config");
  const QwenDefaults& defaults = DefaultsOf(kind);
  VisionConfig c;
  c.kind = kind;
  c.hidden_size = Dimension(fields, defaults.width_key, defaults.width);
  if (const int out = Dimension(fields, defaults.out_key, 3584); out != decoder.hidden_size) {
    fields.Fail(defaults.out_key,
                absl::StrCat("is ", out, ", but the decoder's hidden_size is ", decoder.hidden_size));
  }
  c.num_hidden_layers = static_cast<int>(fields.Int("depth", defaults.depth, 1, kMostLayers));
  c.num_attention_heads = Dimension(fields, "num_heads", 16);
  c.patch_size = static_cast<int>(fields.Int("patch_size", defaults.patch_size, 1, kMostPatchPixels));
  c.temporal_patch_size = static_cast<int>(fields.Int("temporal_patch_size", 2, 1, kMostPatchPixels));
  c.merge_size = static_cast<int>(fields.Int("spatial_merge_size", 2, 1, kMostPatchPixels));
  c.layer_norm_eps = kQwenNormEps;
  c.intermediate_size = defaults.intermediate_size > 0
                            ? Dimension(fields, "intermediate_size", defaults.intermediate_size)
                            : c.hidden_size * static_cast<int>(fields.Int("mlp_ratio", 4, 1, kMaxMlpRatio));
  if (kind == VisionConfig::Kind::kQwen2_5Vl) {
    fields.Choice("hidden_act", "silu", {"silu"});
    ReadWindows(fields, c);
  } else {
    c.hidden_act = ReadActivation(fields, defaults.hidden_act);
  }
  if (kind == VisionConfig::Kind::kQwen3Vl) {
    fields.Choice("model_type", "qwen3_vl_vision", {"qwen3_vl", "qwen3_vl_vision"});
    ReadPositions(fields, c);
    ReadDeepstack(fields, decoder.num_hidden_layers, c);
  }
  fields.Neutral("in_channels", 3);
  JsonFields rope = fields.Object("rope_parameters");
  rope.Choice("rope_type", "axial", {"axial"});
  c.rope_theta = rope.Number("rope_theta", 10000.0, 1.0, 1e12);
  RefuseWhatChangesLayers(fields);
  RefuseQuantizedPart(fields);
  if (c.hidden_size % c.num_attention_heads != 0 || c.hidden_size / c.num_attention_heads % 4 != 0) {
    fields.Fail(defaults.width_key,
                absl::StrCat("is ", c.hidden_size, ", which does not give ", c.num_attention_heads,
                             " heads of a multiple of 4 dimensions"));
  }
  return c;
}

VisionConfig ReadInternVitConfig(JsonFields& config) {
  JsonFields fields = config.Object("vision_config");
  fields.Choice("model_type", "internvl_vision", {"internvl_vision"});
  VisionConfig c = kInternVit;
  c.hidden_size = Dimension(fields, "hidden_size", c.hidden_size);
  c.intermediate_size = Dimension(fields, "intermediate_size", c.intermediate_size);
  c.num_hidden_layers = Layers(fields, c.num_hidden_layers);
  c.num_attention_heads = Dimension(fields, "num_attention_heads", c.num_attention_heads);
  c.image_size = ReadSide(fields, "image_size", c.image_size);
  c.patch_size = ReadSide(fields, "patch_size", c.patch_size);
  c.layer_norm_eps = fields.Number("layer_norm_eps", c.layer_norm_eps, 0.0, 1.0);
  c.hidden_act = ReadActivation(fields, c.hidden_act);
  c.qkv_bias = fields.Bool("attention_bias", false);
  c.qk_norm = fields.Bool("use_qk_norm", false);
  c.rms_norm = fields.Choice("norm_type", "layer_norm", {"layer_norm", "rms_norm"}) == "rms_norm";
  fields.Neutral("num_channels", 3);
  fields.Neutral("use_absolute_position_embeddings", true);
  fields.Neutral("use_mean_pooling", true);  // otherwise there is a last norm
  RefuseWhatChangesLayers(fields);
  RefuseQuantizedPart(fields);
  config.Neutral("downsample_ratio", 1.0 / c.merge_size);
  if (c.hidden_size % c.num_attention_heads != 0) {
    fields.FailWithValue("hidden_size", "not a multiple of num_attention_heads");
  }
  if (c.image_size % (c.patch_size * c.merge_size) != 0) {
    fields.FailWithValue("image_size", absl::StrCat("not a multiple of a visual token, ", c.merge_size, " x ",
                                                    c.merge_size, " patches of ", c.patch_size, " pixels"));
  }
  return c;
}

VisionConfig ReadVisionConfig(JsonFields& config, std::initializer_list<absl::string_view> supported) {
  const absl::string_view usual = *supported.begin();
  if (!config.Has("vision_config") && usual == "clip_vision_model") return kLlava;
  if (!config.Has("vision_config") && usual == "siglip_vision_model") return kOnevision;
  JsonFields fields = config.Object("vision_config");
  const std::string type = fields.Choice("model_type", std::string(usual), supported);
  const bool dinov2 = type == "dinov2";
  VisionConfig c = dinov2                          ? kDinov2
                   : type == "clip_vision_model"   ? kClip
                   : type == "siglip_vision_model" ? kSiglip
                                                   : kIdefics3;
  c.hidden_size = Dimension(fields, "hidden_size", c.hidden_size);
  c.num_hidden_layers = Layers(fields, c.num_hidden_layers);
  c.num_attention_heads = Dimension(fields, "num_attention_heads", c.num_attention_heads);
  c.image_size = Dimension(fields, "image_size", c.image_size);
  c.patch_size = Dimension(fields, "patch_size", c.patch_size);
  c.layer_norm_eps = fields.Number("layer_norm_eps", c.layer_norm_eps, 0.0, 1.0);
  c.hidden_act = ReadActivation(fields, c.hidden_act);
  if (!dinov2) {
    c.intermediate_size = Dimension(fields, "intermediate_size", c.intermediate_size);
  } else {
    c.intermediate_size = c.hidden_size * static_cast<int>(fields.Int("mlp_ratio", 4, 1, kMaxMlpRatio));
    fields.Neutral("use_swiglu_ffn", false);
    fields.Neutral("qkv_bias", true);
  }
  fields.Neutral("num_channels", 3);
  fields.Neutral("tie_last_hidden_states", false);
  RefuseWhatChangesLayers(fields);
  RefuseQuantizedPart(fields);
  if (c.hidden_size % c.num_attention_heads != 0) {
    fields.FailWithValue("hidden_size", "not a multiple of num_attention_heads");
  }
  if (c.patch_size > c.image_size) fields.FailWithValue("patch_size", "more than image_size");
  return c;
}

}  // namespace varserve::model
