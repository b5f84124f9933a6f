#include "server/loader/model_loader.h"

#include <utility>

#include "server/base/status_macros.h"

namespace varserve {

absl::StatusOr<LoadedModel> LoadModel(const model::VisionLanguageModel::Options& options) {
  ASSIGN_OR_RETURN(model::ModelConfig config, model::ModelConfig::Load(options.model_dir));
  ASSIGN_OR_RETURN(const image::ImageProcessor images, image::ImageProcessor::Load(options.model_dir));
  LoadedModel loaded;
  ASSIGN_OR_RETURN(loaded.model, model::VisionLanguageModel::Load(options, std::move(config), images.height(),
                                                                  images.width()));
  const model::ModelConfig& c = loaded.model->config();
  const model::VisualTokenGrid& grid = loaded.model->visual_tokens();
  const text::ImageLayout layout{
      .token_id = c.image_token_id, .num_tokens = grid.size(), .rows = grid.rows, .cols = grid.cols};
  ASSIGN_OR_RETURN(loaded.preprocessor,
                   chat::Preprocessor::Load(options.model_dir, images, layout, c.decoder.vocab_size));
  return loaded;
}

}  // namespace varserve
