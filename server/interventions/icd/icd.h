// Instruction contrastive decoding: contrasts with a disturbed instruction (docs/interventions.md, "ICD").
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/interventions/contrast/contrast_setting.h"
#include "varserve/v1/intervention.pb.h"

namespace varserve::interventions {

inline constexpr char kIcd[] = "icd";

// INVALID_ARGUMENT beginning with the name of a field.
absl::StatusOr<std::shared_ptr<const ContrastSetting>> ReadIcd(const v1::IcdOptions& options);

}  // namespace varserve::interventions
