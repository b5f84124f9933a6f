#include "server/model/model_config.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/json_fields.h"
#include "server/base/model_files.h"
#include "server/base/status_macros.h"
#include "server/model/dimensions.h"
#include "server/model/generation_config.h"

namespace varserve::model {
namespace {

using nlohmann::json;

constexpr char kConfigFile[] = "config.json";
constexpr char kGenerationFile[] = "generation_config.json";

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

}  // namespace

absl::StatusOr<ModelConfig> ModelConfig::Load(const std::string& model_dir) {
  ASSIGN_OR_RETURN(const json config, ReadModelJson(model_dir, kConfigFile));
  const absl::StatusOr<json> generation = ReadModelJson(model_dir, kGenerationFile);
  if (!generation.ok() && !absl::IsNotFound(generation.status())) return generation.status();
  return Parse(config, generation.ok() ? &*generation : nullptr);
}

absl::StatusOr<ModelConfig> ModelConfig::Parse(const json& config, const json* generation) {
  JsonFields fields(config, kConfigFile);
  if (const std::string type = fields.String("model_type", ""); type != "llava") {
    fields.Fail("model_type",
                absl::StrCat("is \"", type, "\"; this server loads only LLaVA models, \"llava\""));
  }
  ModelConfig c;
  c.vision = ReadVisionConfig(fields);
  c.decoder = ReadDecoderConfig(fields);
  c.vision_feature_layers = ReadFeatureLayers(fields, c.vision.num_hidden_layers);
  c.drop_class_token =
      fields.Choice("vision_feature_select_strategy", "default", {"default", "full"}) == "default";
  fields.Choice("projector_hidden_act", "gelu", {"gelu"});
  c.projector_bias = fields.Bool("multimodal_projector_bias", true);
  c.image_token_id = ReadImageToken(fields, c.decoder.vocab_size);
  RefuseWhatChangesLayers(fields);
  c.dtype = fields.Has("dtype")         ? fields.String("dtype", "")
            : fields.Has("torch_dtype") ? fields.String("torch_dtype", "")
                                        : "";
  fields.Neutral("transformers_weights", nullptr);
  RETURN_IF_ERROR(fields.status());
  ASSIGN_OR_RETURN(c.eos_token_ids, ReadEosTokens(config, generation, c.decoder.vocab_size));
  return c;
}

}  // namespace varserve::model
