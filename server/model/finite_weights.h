// Why a model's logits are not finite.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "server/model/vision_language_model.h"

namespace varserve::model {

// FAILED_PRECONDITION naming file and tensor if a stored weight is not finite, or is not in the dtype that
// the model is served in. Reads all of the directory's weights, which takes long: for models that have
// failed.
absl::Status CheckWeightsAreFinite(const std::string& model_dir, const VisionLanguageModel& model);

}  // namespace varserve::model
