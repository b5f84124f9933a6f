// LLaVA-NeXT as transformers has it (LlavaNextConfig, LlavaNextForConditionalGeneration): a CLIP tower that sees
// a picture as a whole and in tiles, whose features are joined to one grid; an MLP, and a Llama or Mistral
// decoder.
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/image/llava_next_image_processor.h"
#include "server/model/dimensions.h"
#include "server/model/families/family.h"
#include "server/model/families/llava_conventions.h"
#include "server/model/model_config.h"

namespace varserve::model {
namespace {

void ReadConfig(JsonFields& fields, ModelConfig& c) {
  c.vision = ReadVisionConfig(fields, {"clip_vision_model"});
  JsonFields text = fields.Object("text_config");
  c.decoder = ReadDecoderConfig(fields, text, text.Choice("model_type", "llama", {"llama", "mistral", "qwen2"}));
  RefuseQuantizedPart(text);
  c.vision_feature_layers = ReadLlavaFeatureLayers(fields, c.vision.num_hidden_layers, -2);
  // With the class token, transformers cannot join the features of tiles.
  fields.Choice("vision_feature_select_strategy", "default", {"default"});
  fields.Choice("projector_hidden_act", "gelu", {"gelu"});
  c.projector_bias = fields.Bool("multimodal_projector_bias", true);
  c.image_newline = true;
  c.image_grid_pinpoints = image::ReadGridPinpoints(fields, image::LlavaNextPinpoints());
  c.image_token_id = ReadLlavaImageToken(fields, c.decoder.vocab_size, 32000);
}

// The image processor's tiles are those that the tower takes, and in the arrangements that the model expects.
absl::Status CheckTiles(const image::LlavaNextImageProcessorConfig& processor, const ModelConfig& config) {
  constexpr char kFile[] = "preprocessor_config.json";
  if (processor.tile != config.vision.image_size) {
    return absl::FailedPreconditionError(absl::StrCat(kFile, ": size is ", processor.tile,
                                                      ", but config.json: vision_config.image_size is ",
                                                      config.vision.image_size));
  }
  if (processor.pinpoints != config.image_grid_pinpoints) {
    return absl::FailedPreconditionError(
        absl::StrCat(kFile, ": image_grid_pinpoints is not config.json's image_grid_pinpoints"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<const image::ImageProcessor>> MakeImageProcessor(
    const ModelConfig& config, const std::filesystem::path& model_dir, int max_image_tokens) {
  ASSIGN_OR_RETURN(const auto processor,
                   image::LlavaNextImageProcessorConfig::Load(model_dir, "LlavaNextImageProcessor"));
  RETURN_IF_ERROR(CheckTiles(processor, config));
  RETURN_IF_ERROR(CheckProcessorClass(model_dir, "LlavaNextProcessor"));
  const int side = config.vision.image_size / config.vision.patch_size;
  RETURN_IF_ERROR(CheckNumTokens(model_dir, processor.tile, processor.tile, side * side));
  return image::LlavaNextImageProcessor::Create(
      processor, {.image_token = config.image_token_id, .side = side}, max_image_tokens);
}

}  // namespace

const Family kLlavaNext = {.model_type = "llava_next",
                           .name = "LLaVA-NeXT",
                           .image_token = "<image>",
                           .read_config = ReadConfig,
                           .canonical_weight_name = LlavaWeightName,
                           .image_processor = MakeImageProcessor};

}  // namespace varserve::model
