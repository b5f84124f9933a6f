// Calibrates a model: finds its sink dimensions and threshold by running prompts through it twice.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/base/prompt.h"
#include "server/model/vision_language_model.h"
#include "tools/calibrate/calibration.h"

namespace varserve::calibrate {

struct Findings {
  std::map<int32_t, double> votes;             // share of votes, by dimension
  std::vector<LayerObservation> observations;  // every layer and prompt; empty if no dimension was elected
  std::optional<Calibration> calibration;      // nullopt if the model has no sinks
};

// `progress` is called after each run. The model's own VAR profile is ignored.
absl::StatusOr<Findings> Calibrate(const model::VisionLanguageModel& model,
                                   absl::Span<const std::shared_ptr<const Prompt>> prompts,
                                   const std::function<void(int done, int of)>& progress);

}  // namespace varserve::calibrate
