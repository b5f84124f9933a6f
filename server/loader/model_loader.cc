#include "server/loader/model_loader.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"

namespace varserve {

absl::StatusOr<LoadedModel> LoadModel(const model::VisionLanguageModel::Options& options) {
  ASSIGN_OR_RETURN(model::ModelConfig config, model::ModelConfig::Load(options.model_dir));
  if (options.max_model_len > config.decoder.max_position_embeddings) {
    return absl::InvalidArgumentError(absl::StrCat("--max_model_len: is ", options.max_model_len,
                                                   ", more than the model's max_position_embeddings, ",
                                                   config.decoder.max_position_embeddings));
  }
  if (options.max_model_len > 0) config.decoder.max_position_embeddings = options.max_model_len;
  ASSIGN_OR_RETURN(text::Tokenizer tokenizer,
                   text::Tokenizer::Load(options.model_dir, config.image_token_id));
  ASSIGN_OR_RETURN(
      std::unique_ptr<const image::ImageProcessor> image_processor,
      config.family->image_processor(config, options.model_dir, options.max_image_tokens,
                                     [&](absl::string_view text) { return tokenizer.Encode(text, {}); }));
  LoadedModel loaded;
  ASSIGN_OR_RETURN(loaded.model,
                   model::VisionLanguageModel::Load(options, std::move(config), image_processor->largest()));
  const model::ModelConfig& c = loaded.model->config();
  ASSIGN_OR_RETURN(loaded.preprocessor, chat::Preprocessor::Load(options.model_dir, std::move(tokenizer),
                                                                 std::move(image_processor),
                                                                 {.id = c.image_token_id,
                                                                  .text = c.family->image_token,
                                                                  .name = c.family->image_token_name,
                                                                  .start_name = c.family->image_start_name,
                                                                  .end_name = c.family->image_end_name},
                                                                 c.decoder.vocab_size));
  return loaded;
}

}  // namespace varserve
