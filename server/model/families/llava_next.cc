// LLaVA-NeXT and LLaVA-OneVision as transformers has them (LlavaNextForConditionalGeneration,
// LlavaOnevisionForConditionalGeneration): a CLIP or SigLIP tower that sees a picture as a whole and in
// tiles, whose features are joined to one grid; an MLP, and a Llama, Mistral or Qwen2 decoder.
#include <initializer_list>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"
#include "server/image/llava_next_image_processor.h"
#include "server/model/dimensions.h"
#include "server/model/families/family.h"
#include "server/model/families/llava_conventions.h"
#include "server/model/model_config.h"

namespace varserve::model {
namespace {

// What the two have in common.
void ReadShared(JsonFields& fields, const char* text_type, int feature_layer, ModelConfig& c) {
  JsonFields text = fields.Object("text_config");
  c.decoder =
      ReadDecoderConfig(fields, text, text.Choice("model_type", text_type, {"llama", "mistral", "qwen2"}));
  RefuseQuantizedPart(text);
  c.vision_feature_layers = ReadLlavaFeatureLayers(fields, c.vision.num_hidden_layers, feature_layer);
  fields.Choice("projector_hidden_act", "gelu", {"gelu"});
  c.projector_bias = fields.Bool("multimodal_projector_bias", true);
  c.image_newline = true;
}

void ReadLlavaNext(JsonFields& fields, ModelConfig& c) {
  c.vision = ReadVisionConfig(fields, {"clip_vision_model"});
  ReadShared(fields, "llama", -2, c);
  // With the class token, transformers cannot join the features of tiles.
  fields.Choice("vision_feature_select_strategy", "default", {"default"});
  c.image_grid_pinpoints = image::ReadGridPinpoints(fields, image::LlavaNextPinpoints());
  c.image_token_id = ReadLlavaImageToken(fields, c.decoder.vocab_size, 32000);
}

// N of anyres_max_N, in config.json and processor_config.json.
int ReadAnyresMax(JsonFields& fields) {
  constexpr char kKey[] = "vision_aspect_ratio";
  const std::string ratio = fields.String(kKey, "anyres_max_9");
  absl::string_view number = ratio;
  int most = 0;
  if (!absl::ConsumePrefix(&number, "anyres_max_") || !absl::SimpleAtoi(number, &most) || most < 1 ||
      most > image::kMostTiles) {
    fields.FailWithValue(kKey, absl::StrCat("not anyres_max_N, N in [1, ", image::kMostTiles, "]"));
    return 1;
  }
  return most;
}

void ReadOnevision(JsonFields& fields, ModelConfig& c) {
  c.vision = ReadVisionConfig(fields, {"siglip_vision_model"});
  ReadShared(fields, "qwen2", -1, c);
  // SigLIP has no class token that could be dropped.
  fields.Choice("vision_feature_select_strategy", "full", {"full"});
  c.drop_class_token = false;
  c.image_grid_pinpoints = image::ReadGridPinpoints(fields, image::LlavaOnevisionPinpoints());
  c.anyres_max = ReadAnyresMax(fields);
  c.image_token_id = ReadLlavaImageToken(fields, c.decoder.vocab_size, 151646);
}

// The image processor's tiles are those that the tower takes, and in the arrangements that the model expects.
absl::StatusOr<image::LlavaNextImageProcessorConfig> LoadProcessor(const ModelConfig& config,
                                                                   const std::filesystem::path& model_dir,
                                                                   const char* type) {
  constexpr char kFile[] = "preprocessor_config.json";
  ASSIGN_OR_RETURN(auto processor, image::LlavaNextImageProcessorConfig::Load(model_dir, type));
  if (processor.tile != config.vision.image_size) {
    return absl::FailedPreconditionError(absl::StrCat(kFile, ": size is ", processor.tile,
                                                      ", but config.json: vision_config.image_size is ",
                                                      config.vision.image_size));
  }
  if (processor.pinpoints != config.image_grid_pinpoints) {
    return absl::FailedPreconditionError(
        absl::StrCat(kFile, ": image_grid_pinpoints is not config.json's image_grid_pinpoints"));
  }
  return processor;
}

absl::StatusOr<std::unique_ptr<const image::ImageProcessor>> MakeLlavaNextProcessor(
    const ModelConfig& config, const std::filesystem::path& model_dir, int max_image_tokens,
    image::TextEncoder /*encode*/) {
  ASSIGN_OR_RETURN(const auto processor, LoadProcessor(config, model_dir, "LlavaNextImageProcessor"));
  RETURN_IF_ERROR(CheckProcessorClass(model_dir, "LlavaNextProcessor"));
  const int side = config.vision.image_size / config.vision.patch_size;
  RETURN_IF_ERROR(CheckNumTokens(model_dir, processor.tile, processor.tile, side * side));
  return image::LlavaNextImageProcessor::Create(
      processor, {.image_token = config.image_token_id, .side = side}, max_image_tokens);
}

absl::Status CheckOnevisionTokens(const std::filesystem::path& model_dir, int tokens, int anyres_max) {
  ASSIGN_OR_RETURN(const nlohmann::json json, ReadModelJsonIfAny(model_dir, kProcessorFile));
  JsonFields fields(json, kProcessorFile, JsonFields::Null::kAbsent);
  CheckTileTokens(fields, "num_image_tokens", tokens, tokens);
  fields.Choice("vision_feature_select_strategy", "full", {"full"});
  if (const int most = ReadAnyresMax(fields); most != anyres_max) {
    fields.Fail("vision_aspect_ratio",
                absl::StrCat("is anyres_max_", most, ", but config.json's is anyres_max_", anyres_max));
  }
  return fields.status();
}

absl::StatusOr<std::unique_ptr<const image::ImageProcessor>> MakeOnevisionProcessor(
    const ModelConfig& config, const std::filesystem::path& model_dir, int max_image_tokens,
    image::TextEncoder /*encode*/) {
  ASSIGN_OR_RETURN(const auto processor, LoadProcessor(config, model_dir, "LlavaOnevisionImageProcessor"));
  RETURN_IF_ERROR(CheckProcessorClass(model_dir, "LlavaOnevisionProcessor"));
  const int side = config.vision.image_size / config.vision.patch_size;
  RETURN_IF_ERROR(CheckOnevisionTokens(model_dir, side * side, config.anyres_max));
  return image::LlavaNextImageProcessor::Create(
      processor, {.image_token = config.image_token_id, .side = side, .most_tiles = config.anyres_max},
      max_image_tokens);
}

}  // namespace

const Family kLlavaNext = {.model_type = "llava_next",
                           .name = "LLaVA-NeXT",
                           .image_token = "<image>",
                           .read_config = ReadLlavaNext,
                           .canonical_weight_name = LlavaWeightName,
                           .image_processor = MakeLlavaNextProcessor};

const Family kLlavaOnevision = {.model_type = "llava_onevision",
                                .name = "LLaVA-OneVision",
                                .image_token = "<image>",
                                .read_config = ReadOnevision,
                                .canonical_weight_name = LlavaWeightName,
                                .image_processor = MakeOnevisionProcessor};

}  // namespace varserve::model
