// LLaVA-1.5 as transformers has it (LlavaConfig, LlavaForConditionalGeneration): features of one or more
// layers of a CLIP or DINOv2 tower, an MLP, and a Llama decoder. Every image has the same grid.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/image/clip_image_processor.h"
#include "server/model/dimensions.h"
#include "server/model/families/family.h"
#include "server/model/families/llava_conventions.h"
#include "server/model/model_config.h"

namespace varserve::model {
namespace {

void ReadConfig(JsonFields& fields, ModelConfig& c) {
  c.vision = ReadVisionConfig(fields, {"clip_vision_model", "dinov2"});
  JsonFields text = fields.Object("text_config");
  c.decoder = ReadDecoderConfig(fields, text,
                                text.Choice("model_type", "llama", {"llama", "mistral", "qwen2", "qwen3"}));
  RefuseQuantizedPart(text);
  c.vision_feature_layers = ReadLlavaFeatureLayers(fields, c.vision.num_hidden_layers, -2);
  c.drop_class_token =
      fields.Choice("vision_feature_select_strategy", "default", {"default", "full"}) == "default";
  fields.Choice("projector_hidden_act", "gelu", {"gelu"});
  c.projector_bias = fields.Bool("multimodal_projector_bias", true);
  c.image_token_id = ReadLlavaImageToken(fields, c.decoder.vocab_size, 32000);
}

absl::StatusOr<ImageLayout> LayoutOf(const ModelConfig& config, int height, int width) {
  const VisionConfig& vision = config.vision;
  const std::string pictures = absl::StrCat("size, crop_size: the image processor makes pictures of ", height,
                                            "x", width, ", but config.json: vision_config.");
  if (height % vision.patch_size != 0 || width % vision.patch_size != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(pictures, "patch_size is ", vision.patch_size, ", of which they are not a multiple"));
  }
  if (vision.kind == VisionConfig::Kind::kClip &&
      (height != vision.image_size || width != vision.image_size)) {
    return absl::FailedPreconditionError(
        absl::StrCat(pictures, "image_size is ", vision.image_size, ", the only size a CLIP tower takes"));
  }
  const int rows = height / vision.patch_size;
  const int cols = width / vision.patch_size;
  const int tokens = rows * cols + (config.drop_class_token ? 0 : 1);
  return ImageLayout(tokens, config.image_token_id, rows, cols);
}

absl::StatusOr<std::unique_ptr<const image::ImageProcessor>> MakeImageProcessor(
    const ModelConfig& config, const std::filesystem::path& model_dir, int max_image_tokens,
    image::TextEncoder /*encode*/) {
  RETURN_IF_ERROR(CheckOneSize(max_image_tokens, config.family->name));
  ASSIGN_OR_RETURN(const auto processor, image::ClipImageProcessorConfig::Load(model_dir));
  ASSIGN_OR_RETURN(ImageLayout layout, LayoutOf(config, processor.height(), processor.width()));
  RETURN_IF_ERROR(CheckProcessorClass(model_dir, "LlavaProcessor"));
  RETURN_IF_ERROR(CheckNumTokens(model_dir, processor.height(), processor.width(), layout.size()));
  return std::make_unique<const image::ClipImageProcessor>(
      processor, std::make_shared<const ImageLayout>(std::move(layout)));
}

}  // namespace

const Family kLlava = {.model_type = "llava",
                       .name = "LLaVA",
                       .image_token = "<image>",
                       .read_config = ReadConfig,
                       .canonical_weight_name = LlavaWeightName,
                       .image_processor = MakeImageProcessor};

}  // namespace varserve::model
