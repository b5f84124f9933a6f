// Qwen2-VL, Qwen2.5-VL and Qwen3-VL as transformers has them (Qwen2VLForConditionalGeneration,
// Qwen2_5_VLForConditionalGeneration, Qwen3VLForConditionalGeneration): a vision transformer that takes
// pictures of any shape, visual tokens of 2 x 2 patches, and a Qwen2 or Qwen3 decoder with M-RoPE.
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/status_macros.h"
#include "server/image/qwen2_vl_image_processor.h"
#include "server/model/dimensions.h"
#include "server/model/families/family.h"
#include "server/model/model_config.h"

namespace varserve::model {
namespace {

// On the hub, the decoder's fields of Qwen2-VL and Qwen2.5-VL are in config.json itself; newer transformers
// write a text_config, which Qwen3-VL always has.
void ReadConfig(JsonFields& fields, VisionConfig::Kind kind, const char* text_type, ModelConfig& c) {
  if (fields.Has("text_config") || kind == VisionConfig::Kind::kQwen3Vl) {
    JsonFields text = fields.Object("text_config");
    text.Choice("model_type", text_type, {text_type});
    c.decoder = ReadDecoderConfig(fields, text, text_type);
    RefuseQuantizedPart(text);
  } else {
    c.decoder = ReadDecoderConfig(fields, fields, text_type);
  }
  c.vision = ReadQwenVisionConfig(fields, kind, c.decoder);
  c.image_token_id = static_cast<int32_t>(fields.Int("image_token_id", 151655, 0, kMostOfAnything));
  if (c.image_token_id >= c.decoder.vocab_size) {
    fields.Fail("image_token_id",
                absl::StrCat("is ", c.image_token_id, ", not below vocab_size, ", c.decoder.vocab_size));
  }
}

void ReadQwen2Vl(JsonFields& fields, ModelConfig& config) {
  ReadConfig(fields, VisionConfig::Kind::kQwen2Vl, "qwen2_vl_text", config);
}
void ReadQwen2_5Vl(JsonFields& fields, ModelConfig& config) {
  ReadConfig(fields, VisionConfig::Kind::kQwen2_5Vl, "qwen2_5_vl_text", config);
}
void ReadQwen3Vl(JsonFields& fields, ModelConfig& config) {
  ReadConfig(fields, VisionConfig::Kind::kQwen3Vl, "qwen3_vl_text", config);
}

// Of the hub: visual.* and model.*; of newer transformers, and of Qwen3-VL on the hub: model.visual.* and
// model.language_model.*.
std::string CanonicalWeightName(const std::string& stored) {
  absl::string_view name = stored;
  const bool in_model = absl::ConsumePrefix(&name, "model.");
  if (absl::ConsumePrefix(&name, "visual.")) return absl::StrCat("vision_tower.", name);
  if (!in_model || absl::StartsWith(name, "language_model.")) return std::string(name);
  return absl::StrCat("language_model.", name);
}

absl::Status CheckAgreement(const image::Qwen2VlImageProcessorConfig& processor, const VisionConfig& vision) {
  const struct {
    const char* key;
    int processor;
    int vision;
    const char* vision_key;
  } sizes[] = {{"patch_size", processor.patch_size, vision.patch_size, "patch_size"},
               {"temporal_patch_size", processor.temporal_patch_size, vision.temporal_patch_size,
                "temporal_patch_size"},
               {"merge_size", processor.merge_size, vision.merge_size, "spatial_merge_size"}};
  for (const auto& size : sizes) {
    if (size.processor == size.vision) continue;
    return absl::FailedPreconditionError(absl::StrCat("preprocessor_config.json: ", size.key, " is ",
                                                      size.processor, ", but config.json: vision_config.",
                                                      size.vision_key, " is ", size.vision));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<const image::ImageProcessor>> MakeImageProcessor(
    const ModelConfig& config, const std::filesystem::path& model_dir, int max_image_tokens,
    image::TextEncoder /*encode*/) {
  ASSIGN_OR_RETURN(const auto processor, image::Qwen2VlImageProcessorConfig::Load(model_dir));
  RETURN_IF_ERROR(CheckAgreement(processor, config.vision));
  return std::make_unique<const image::Qwen2VlImageProcessor>(processor, config.image_token_id,
                                                              max_image_tokens);
}

}  // namespace

const Family kQwen2Vl = {.model_type = "qwen2_vl",
                         .name = "Qwen2-VL",
                         .image_token = "<|image_pad|>",
                         .read_config = ReadQwen2Vl,
                         .canonical_weight_name = CanonicalWeightName,
                         .image_processor = MakeImageProcessor};

const Family kQwen2_5Vl = {.model_type = "qwen2_5_vl",
                           .name = "Qwen2.5-VL",
                           .image_token = "<|image_pad|>",
                           .read_config = ReadQwen2_5Vl,
                           .canonical_weight_name = CanonicalWeightName,
                           .image_processor = MakeImageProcessor};

const Family kQwen3Vl = {.model_type = "qwen3_vl",
                         .name = "Qwen3-VL",
                         .image_token = "<|image_pad|>",
                         .read_config = ReadQwen3Vl,
                         .canonical_weight_name = CanonicalWeightName,
                         .image_processor = MakeImageProcessor};

}  // namespace varserve::model
