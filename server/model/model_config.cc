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

}  // namespace

absl::StatusOr<ModelConfig> ModelConfig::Load(const std::string& model_dir) {
  ASSIGN_OR_RETURN(const json config, ReadModelJson(model_dir, kConfigFile));
  const absl::StatusOr<json> generation = ReadModelJson(model_dir, kGenerationFile);
  if (!generation.ok() && !absl::IsNotFound(generation.status())) return generation.status();
  return Parse(config, generation.ok() ? &*generation : nullptr);
}

absl::StatusOr<ModelConfig> ModelConfig::Parse(const json& config, const json* generation) {
  JsonFields fields(config, kConfigFile);
  ModelConfig c;
  const std::string type = fields.String("model_type", "");
  c.family = FindFamily(type);
  if (c.family == nullptr) {
    fields.Fail("model_type", absl::StrCat("is \"", type, "\"", WhyNoFamily(type),
                                           "; this server loads only ", KnownFamilies()));
    return fields.status();
  }
  c.family->read_config(fields, c);
  RefuseWhatChangesLayers(fields);
  c.quantization = ReadQuantizationConfig(fields);
  c.dtype = fields.Has("dtype")         ? fields.String("dtype", "")
            : fields.Has("torch_dtype") ? fields.String("torch_dtype", "")
                                        : "";
  fields.Neutral("transformers_weights", nullptr);
  RETURN_IF_ERROR(fields.status());
  ASSIGN_OR_RETURN(c.eos_token_ids, ReadEosTokens(config, generation, c.decoder.vocab_size));
  return c;
}

}  // namespace varserve::model
