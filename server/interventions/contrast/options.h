// What VCD and ICD have in common in reading their options. Thread-safe.
#pragma once

#include "absl/status/status.h"
#include "server/base/field_range.h"
#include "server/base/status_macros.h"
#include "server/interventions/contrast_rule.h"

namespace varserve::interventions {

// Reads weight and cut, and sets what is effective. INVALID_ARGUMENT beginning with the name of a field.
template <typename Options>
absl::Status ReadAlphaAndBeta(const Options& options, Options& effective, ContrastRule& rule) {
  effective.set_alpha(options.has_alpha() ? options.alpha() : 1.0F);
  effective.set_beta(options.has_beta() ? options.beta() : 0.1F);
  RETURN_IF_ERROR(CheckRange("alpha", effective.alpha(), 0, 10));
  RETURN_IF_ERROR(CheckRange("beta", effective.beta(), 0, 1));
  rule = {.weight = effective.alpha(), .beta = effective.beta()};
  return absl::OkStatus();
}

}  // namespace varserve::interventions
