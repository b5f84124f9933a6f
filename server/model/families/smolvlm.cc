// Idefics3 and SmolVLM as transformers has them (Idefics3ForConditionalGeneration,
// SmolVLMForConditionalGeneration): a SigLIP tower that sees pictures in tiles and as a whole, visual tokens
// of several patches, text around the tiles, and a Llama decoder. The two differ in names only.
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"
#include "server/image/idefics3_image_processor.h"
#include "server/model/dimensions.h"
#include "server/model/families/family.h"
#include "server/model/families/llava_conventions.h"
#include "server/model/model_config.h"

namespace varserve::model {
namespace {

constexpr int kMostScale = 64;

void ReadConfig(JsonFields& fields, ModelConfig& c) {
  c.vision = ReadVisionConfig(fields, {"idefics3_vision", "idefics3", "smolvlm_vision", "smolvlm"});
  c.vision.merge_size = static_cast<int>(fields.Int("scale_factor", 2, 1, kMostScale));
  if (!fields.Has("text_config")) fields.Fail("text_config", "is missing");
  JsonFields text = fields.Object("text_config");
  c.decoder = ReadDecoderConfig(fields, text, text.Choice("model_type", "llama", {"llama"}));
  RefuseQuantizedPart(text);
  // Idefics2's ways, whose weights transformers' Idefics3 does not have.
  text.Neutral("use_resampler", false);
  text.Neutral("qk_layer_norms", false);
  // The decoder's own field has no effect on a model that contains it.
  c.decoder.tie_word_embeddings = fields.Bool("tie_word_embeddings", false);
  c.vision_feature_layers = {c.vision.num_hidden_layers};
  c.drop_class_token = false;
  c.projector_layers = 1;
  c.projector_bias = false;
  c.image_token_id = ReadImageTokenId(fields, c.decoder.vocab_size, 128257);
}

std::string CanonicalWeightName(const std::string& stored) {
  absl::string_view name = stored;
  absl::ConsumePrefix(&name, "model.");
  if (absl::ConsumePrefix(&name, "text_model.")) return absl::StrCat("language_model.", name);
  if (absl::ConsumePrefix(&name, "vision_model.")) return absl::StrCat("vision_tower.", name);
  if (absl::ConsumePrefix(&name, "connector.modality_projection.proj.")) {
    return absl::StrCat("multi_modal_projector.linear_1.", name);
  }
  return std::string(name);
}

// SmolVLM's tokenizer may give other texts to the tokens around tiles.
absl::Status CheckTileTexts(const std::filesystem::path& model_dir) {
  constexpr char kFile[] = "tokenizer_config.json";
  constexpr char kExtra[] = "extra_special_tokens";
  ASSIGN_OR_RETURN(const nlohmann::json json, ReadModelJsonIfAny(model_dir, kFile));
  JsonFields fields(json, kFile, JsonFields::Null::kAbsent);
  const auto check = [](JsonFields& names) {
    names.Neutral("fake_image_token", "<fake_token_around_image>");
    names.Neutral("global_image_token", "<global-img>");
  };
  check(fields);
  if (json.contains(kExtra) && json[kExtra].is_object()) {
    JsonFields extra = fields.Object(kExtra);
    check(extra);
  }
  return fields.status();
}

absl::StatusOr<std::unique_ptr<const image::ImageProcessor>> MakeImageProcessor(
    const ModelConfig& config, const std::filesystem::path& model_dir, int max_image_tokens,
    image::TextEncoder encode) {
  ASSIGN_OR_RETURN(const auto processor, image::Idefics3ImageProcessorConfig::Load(model_dir));
  const int patches = processor.tile / config.vision.patch_size;
  const int merge = config.vision.merge_size;
  if (patches == 0 || patches % merge != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "preprocessor_config.json: max_image_size.longest_edge is ", processor.tile, ", which makes ",
        patches, " patches a side of a tile; by config.json a visual token has ", merge, " x ", merge,
        " patches"));
  }
  RETURN_IF_ERROR(
      CheckProcessorClass(model_dir, config.family == &kSmolVlm ? "SmolVLMProcessor" : "Idefics3Processor"));
  const int side = patches / merge;
  RETURN_IF_ERROR(
      CheckImageSeqLength(model_dir, "image_seq_len", 169, side * side, JsonFields::Null::kAbsent));
  RETURN_IF_ERROR(CheckTileTexts(model_dir));
  return image::Idefics3ImageProcessor::Create(
      processor,
      {.image_token = config.image_token_id, .side = side, .vocabulary = config.decoder.vocab_size},
      max_image_tokens, encode);
}

}  // namespace

const Family kIdefics3 = {.model_type = "idefics3",
                          .name = "Idefics3",
                          .image_token = "<image>",
                          .read_config = ReadConfig,
                          .canonical_weight_name = CanonicalWeightName,
                          .image_processor = MakeImageProcessor};

const Family kSmolVlm = {.model_type = "smolvlm",
                         .name = "SmolVLM",
                         .image_token = "<image>",
                         .read_config = ReadConfig,
                         .canonical_weight_name = CanonicalWeightName,
                         .image_processor = MakeImageProcessor};

}  // namespace varserve::model
