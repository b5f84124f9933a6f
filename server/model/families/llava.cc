// LLaVA-1.5 as transformers has it (LlavaConfig, LlavaForConditionalGeneration): features of one or more
// layers of a CLIP or DINOv2 tower, an MLP, and a Llama decoder. Every image has the same grid.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"
#include "server/image/clip_image_processor.h"
#include "server/model/dimensions.h"
#include "server/model/families/family.h"
#include "server/model/families/llava_conventions.h"
#include "server/model/model_config.h"

namespace varserve::model {
namespace {

std::vector<int> ReadFeatureLayers(JsonFields& fields, int num_hidden_layers) {
  constexpr char kKey[] = "vision_feature_layer";
  const int64_t states = num_hidden_layers + 1;
  std::vector<int> layers;
  for (const int64_t layer : fields.Ints(kKey, {-2})) {
    if (layer < -states || layer >= states) {
      fields.FailWithValue(
          kKey, absl::StrCat(layer, " is not one of the ", states, " hidden states of the vision tower"));
    }
    layers.push_back(static_cast<int>(layer < 0 ? layer + states : layer));
  }
  if (layers.empty()) fields.FailWithValue(kKey, "which names no layer");
  return layers;
}

// image_token_index is LlavaConfig's own name, which image_token_id overrides.
int32_t ReadImageToken(JsonFields& fields, int vocab_size) {
  const int64_t index = fields.Int("image_token_index", 32000, 0, kMostOfAnything);
  const int64_t id = fields.Int("image_token_id", index, 0, kMostOfAnything);
  if (id >= vocab_size) {
    fields.Fail(fields.Has("image_token_id") ? "image_token_id" : "image_token_index",
                absl::StrCat("is ", id, ", not below text_config.vocab_size, ", vocab_size));
  }
  return static_cast<int32_t>(id);
}

void ReadConfig(JsonFields& fields, ModelConfig& c) {
  c.vision = ReadVisionConfig(fields);
  JsonFields text = fields.Object("text_config");
  c.decoder = ReadDecoderConfig(fields, text,
                                text.Choice("model_type", "llama", {"llama", "mistral", "qwen2", "qwen3"}));
  RefuseQuantizedPart(text);
  c.vision_feature_layers = ReadFeatureLayers(fields, c.vision.num_hidden_layers);
  c.drop_class_token =
      fields.Choice("vision_feature_select_strategy", "default", {"default", "full"}) == "default";
  fields.Choice("projector_hidden_act", "gelu", {"gelu"});
  c.projector_bias = fields.Bool("multimodal_projector_bias", true);
  c.image_token_id = ReadImageToken(fields, c.decoder.vocab_size);
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
  return ImageLayout(std::vector<int32_t>(tokens, config.image_token_id), config.image_token_id, rows, cols);
}

// transformers refuses every request with a picture if its processor makes another number of tokens.
absl::Status CheckNumTokens(const std::filesystem::path& model_dir, int height, int width,
                            const ImageLayout& layout) {
  ASSIGN_OR_RETURN(const nlohmann::json json, ReadModelJsonIfAny(model_dir, kProcessorFile));
  JsonFields fields(json, kProcessorFile, JsonFields::Null::kAbsent);
  const std::string strategy = fields.String("vision_feature_select_strategy", "");
  const int64_t added = fields.Int("num_additional_image_tokens", 0, 0, kMostOfAnything);
  if (!fields.Has("patch_size")) return fields.status();
  const int64_t patch_size = fields.Int("patch_size", 1, 1, kMostOfAnything);
  const int64_t tokens =
      (height / patch_size) * (width / patch_size) + added - (strategy == "default" ? 1 : 0);
  if (tokens != layout.size()) {
    fields.Fail("patch_size",
                absl::StrCat("is ", patch_size, ", which with num_additional_image_tokens ", added,
                             " and vision_feature_select_strategy \"", strategy, "\" makes ", tokens,
                             " tokens of a picture; by config.json there are ", layout.size()));
  }
  return fields.status();
}

absl::StatusOr<std::unique_ptr<const image::ImageProcessor>> MakeImageProcessor(
    const ModelConfig& config, const std::filesystem::path& model_dir, int max_image_tokens) {
  if (max_image_tokens > 0) {
    return absl::InvalidArgumentError(
        "--max_image_tokens: all images of a LLaVA model have the same number of tokens; leave the flag out");
  }
  ASSIGN_OR_RETURN(const auto processor, image::ClipImageProcessorConfig::Load(model_dir));
  ASSIGN_OR_RETURN(ImageLayout layout, LayoutOf(config, processor.height(), processor.width()));
  RETURN_IF_ERROR(CheckProcessorClass(model_dir, "LlavaProcessor"));
  RETURN_IF_ERROR(CheckNumTokens(model_dir, processor.height(), processor.width(), layout));
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
