// How many prompt tokens a step computes: by the processor's speed, since a step delays running sequences.
#pragma once

#include <cstdint>

#include "server/model/vision_language_model.h"

namespace varserve::model {

struct PrefillBudget {
  int busy = 0;  // tokens of a step with decoding sequences
  int idle = 0;  // of one without; fits a whole question about a picture if the step takes less than a second
};

// On a CPU. speed: see Decoder::MeasureSpeed
PrefillBudget BudgetFor(double speed, int64_t weight_bytes);

// Measures the speed on a CPU, in the time of some tokens.
PrefillBudget MeasurePrefillBudget(const VisionLanguageModel& model);

}  // namespace varserve::model
