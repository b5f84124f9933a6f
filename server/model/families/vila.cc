// VILA, as ./dev convert writes it: the features of one layer of a SigLIP or CLIP tower; a linear layer, an
// MLP, or one whose visual tokens are 2 x 2 patches; and a Llama decoder. Every image has the same grid.
// Source: NVlabs/VILA, multimodal_projector/base_projector.py.
#include <memory>
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

void ReadProjector(JsonFields& fields, ModelConfig& c) {
  const std::string type = fields.Choice("mm_projector_type", "", {"linear", "mlp2x_gelu", "mlp_downsample"});
  c.projector_layers = type == "linear" ? 1 : 2;
  if (type != "mlp_downsample") return;
  c.projector_norm = true;
  c.flat_square = true;
  c.vision.merge_size = 2;
}

// Which features of the tower become visual tokens.
void ReadFeatureSelection(JsonFields& fields, ModelConfig& c) {
  constexpr char kKey[] = "vision_feature_select_strategy";
  c.drop_class_token = fields.Choice(kKey, "full", {"default", "full"}) == "default";
  const bool has_class_token = c.vision.kind == VisionConfig::Kind::kClip;
  if (c.drop_class_token && !has_class_token) {
    fields.FailWithValue(kKey, "but a SigLIP tower has no class token");
  }
  if (!c.drop_class_token && has_class_token && c.flat_square) {
    fields.FailWithValue(
        kKey, "but with a class token the features do not form a square, which mlp_downsample needs");
  }
}

void ReadConfig(JsonFields& fields, ModelConfig& c) {
  for (const char* key : {"llm_cfg", "vision_tower_cfg", "mm_projector_cfg"}) {
    if (fields.Has(key)) {
      fields.Fail(key,
                  "is of the layout of VILA's own code; ./dev convert (tools/convert) makes a model of it");
    }
  }
  c.vision = ReadVisionConfig(fields, {"siglip_vision_model", "clip_vision_model"});
  JsonFields text = fields.Object("text_config");
  c.decoder = ReadDecoderConfig(fields, text, text.Choice("model_type", "llama", {"llama"}));
  RefuseQuantizedPart(text);
  c.vision_feature_layers = ReadLlavaFeatureLayers(fields, c.vision.num_hidden_layers, -2);
  ReadProjector(fields, c);
  ReadFeatureSelection(fields, c);
  c.image_token_id = ReadLlavaImageToken(fields, c.decoder.vocab_size, 0);
}

ImageLayout LayoutOf(const ModelConfig& config) {
  const int patches = config.vision.image_size / config.vision.patch_size;  // a side's
  if (config.flat_square) {
    const int side = (patches + 1) / 2;
    return ImageLayout::ByColumns(config.image_token_id, side, side);
  }
  const bool class_token = config.vision.kind == VisionConfig::Kind::kClip && !config.drop_class_token;
  return {patches * patches + (class_token ? 1 : 0), config.image_token_id, patches, patches};
}

absl::StatusOr<std::unique_ptr<const image::ImageProcessor>> MakeImageProcessor(
    const ModelConfig& config, const std::filesystem::path& model_dir, int max_image_tokens,
    image::TextEncoder /*encode*/) {
  RETURN_IF_ERROR(CheckOneSize(max_image_tokens, config.family->name));
  ASSIGN_OR_RETURN(const auto processor, image::ClipImageProcessorConfig::Load(model_dir));
  const VisionConfig& vision = config.vision;
  if (processor.height() != vision.image_size || processor.width() != vision.image_size) {
    return absl::FailedPreconditionError(
        absl::StrCat("preprocessor_config.json: size, crop_size: the image processor makes pictures of ",
                     processor.height(), "x", processor.width(),
                     ", but config.json: vision_config.image_size is ", vision.image_size));
  }
  RETURN_IF_ERROR(CheckProcessorClass(model_dir, "VilaProcessor"));
  auto layout = std::make_shared<const ImageLayout>(LayoutOf(config));
  RETURN_IF_ERROR(CheckImageSeqLength(model_dir, "image_seq_length", layout->size(), layout->size()));
  return std::make_unique<const image::ClipImageProcessor>(processor, std::move(layout),
                                                           vision.patch_size * vision.merge_size);
}

}  // namespace

const Family kVila = {.model_type = "vila",
                      .name = "VILA",
                      .image_token = "<image>",
                      .read_config = ReadConfig,
                      .canonical_weight_name = LlavaWeightName,
                      .image_processor = MakeImageProcessor};

}  // namespace varserve::model
