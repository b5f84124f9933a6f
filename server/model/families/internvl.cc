// InternVL as transformers has it (InternVLForConditionalGeneration; InternVL3 and 3.5 in the -hf layout): an
// InternViT tower that sees pictures in tiles, visual tokens of 2 x 2 patches, and a Qwen2, Qwen3 or Llama
// decoder.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/image/got_ocr2_image_processor.h"
#include "server/model/dimensions.h"
#include "server/model/families/family.h"
#include "server/model/families/llava_conventions.h"
#include "server/model/model_config.h"

namespace varserve::model {
namespace {

void ReadConfig(JsonFields& fields, ModelConfig& c) {
  c.vision = ReadInternVitConfig(fields);
  JsonFields text = fields.Object("text_config");
  c.decoder =
      ReadDecoderConfig(fields, text, text.Choice("model_type", "qwen2", {"llama", "qwen2", "qwen3"}));
  RefuseQuantizedPart(text);
  // InternVLConfig ties the embeddings if it does not say otherwise.
  const bool tied = fields.Bool("tie_word_embeddings", true);
  c.decoder.tie_word_embeddings = c.decoder.tie_word_embeddings || tied;
  fields.Neutral("vision_feature_layer", -1);
  c.vision_feature_layers = {c.vision.num_hidden_layers};
  fields.Choice("vision_feature_select_strategy", "default", {"default"});
  fields.Choice("projector_hidden_act", "gelu", {"gelu"});
  c.projector_norm = true;
  c.image_token_id = ReadImageTokenId(fields, c.decoder.vocab_size, 151667);
}

// The most tiles whose tokens, with those of the thumbnail that several tiles have, are not too many.
absl::StatusOr<int> MostTiles(int max_tiles, int tile_tokens, int max_image_tokens) {
  if (max_image_tokens == 0) return max_tiles;
  RETURN_IF_ERROR(image::CheckTileFits(max_image_tokens, tile_tokens));
  while (max_tiles > 1 && int64_t{max_tiles + 1} * tile_tokens > max_image_tokens) --max_tiles;
  return max_tiles;
}

absl::StatusOr<std::unique_ptr<const image::ImageProcessor>> MakeImageProcessor(
    const ModelConfig& config, const std::filesystem::path& model_dir, int max_image_tokens,
    image::TextEncoder /*encode*/) {
  const VisionConfig& vision = config.vision;
  ASSIGN_OR_RETURN(auto processor, image::GotOcr2ImageProcessorConfig::Load(model_dir));
  if (processor.tile_height != vision.image_size || processor.tile_width != vision.image_size) {
    return absl::FailedPreconditionError(
        absl::StrCat("preprocessor_config.json: size is ", processor.tile_height, "x", processor.tile_width,
                     ", but config.json: vision_config.image_size is ", vision.image_size));
  }
  RETURN_IF_ERROR(CheckProcessorClass(model_dir, "InternVLProcessor"));
  const int side = vision.image_size / vision.patch_size / vision.merge_size;
  RETURN_IF_ERROR(CheckImageSeqLength(model_dir, "image_seq_length", 256, side * side));
  ASSIGN_OR_RETURN(processor.max_tiles, MostTiles(processor.max_tiles, side * side, max_image_tokens));
  processor.min_tiles = std::min(processor.min_tiles, processor.max_tiles);
  return std::make_unique<const image::GotOcr2ImageProcessor>(
      processor, image::GotOcr2ImageProcessor::TileTokens{
                     .image_token = config.image_token_id, .rows = side, .cols = side});
}

}  // namespace

const Family kInternVl = {.model_type = "internvl",
                          .name = "InternVL",
                          .image_token = "",
                          .image_token_name = "context_image_token",
                          .image_start_name = "start_image_token",
                          .image_end_name = "end_image_token",
                          .read_config = ReadConfig,
                          .canonical_weight_name = LlavaWeightName,
                          .image_processor = MakeImageProcessor};

}  // namespace varserve::model
