// Loads a Hugging Face model directory: the model and its preprocessor.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/chat/preprocessor.h"
#include "server/model/vision_language_model.h"

namespace varserve {

struct LoadedModel {
  std::unique_ptr<const model::VisionLanguageModel> model;
  std::unique_ptr<const chat::Preprocessor> preprocessor;
};

// Errors name the file, and the field or tensor.
absl::StatusOr<LoadedModel> LoadModel(const model::VisionLanguageModel::Options& options);

}  // namespace varserve
