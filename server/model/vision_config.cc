#include "server/model/vision_config.h"

#include <string>

#include "server/model/dimensions.h"

namespace varserve::model {
namespace {

// What a CLIP tower has where config.json says nothing. A vision_config has the defaults of CLIPVisionConfig;
// where there is none, LlavaConfig takes CLIP ViT-L/14 at 336 pixels.
constexpr VisionConfig kClip = {.kind = VisionConfig::Kind::kClip,
                                .hidden_size = 768,
                                .intermediate_size = 3072,
                                .num_hidden_layers = 12,
                                .num_attention_heads = 12,
                                .image_size = 224,
                                .patch_size = 32,
                                .layer_norm_eps = 1e-5,
                                .quick_gelu = true};
constexpr VisionConfig kLlava = {.kind = VisionConfig::Kind::kClip,
                                 .hidden_size = 1024,
                                 .intermediate_size = 4096,
                                 .num_hidden_layers = 24,
                                 .num_attention_heads = 16,
                                 .image_size = 336,
                                 .patch_size = 14,
                                 .layer_norm_eps = 1e-5,
                                 .quick_gelu = true};
constexpr VisionConfig kDinov2 = {.kind = VisionConfig::Kind::kDinov2,
                                  .hidden_size = 768,
                                  .num_hidden_layers = 12,
                                  .num_attention_heads = 12,
                                  .image_size = 224,
                                  .patch_size = 14,
                                  .layer_norm_eps = 1e-6,
                                  .quick_gelu = false};
constexpr int kMaxMlpRatio = 64;

}  // namespace

VisionConfig ReadVisionConfig(JsonFields& config) {
  if (!config.Has("vision_config")) return kLlava;
  JsonFields fields = config.Object("vision_config");
  const bool clip = fields.Choice("model_type", "clip_vision_model", {"clip_vision_model", "dinov2"}) ==
                    "clip_vision_model";
  VisionConfig c = clip ? kClip : kDinov2;
  c.hidden_size = Dimension(fields, "hidden_size", c.hidden_size);
  c.num_hidden_layers = Layers(fields, c.num_hidden_layers);
  c.num_attention_heads = Dimension(fields, "num_attention_heads", c.num_attention_heads);
  c.image_size = Dimension(fields, "image_size", c.image_size);
  c.patch_size = Dimension(fields, "patch_size", c.patch_size);
  c.layer_norm_eps = fields.Number("layer_norm_eps", c.layer_norm_eps, 0.0, 1.0);
  c.quick_gelu = fields.Choice("hidden_act", c.quick_gelu ? "quick_gelu" : "gelu", {"gelu", "quick_gelu"}) ==
                 "quick_gelu";
  if (clip) {
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
