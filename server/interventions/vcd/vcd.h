// Visual contrastive decoding: contrasts with noisy pictures (docs/interventions.md, "VCD").
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/interventions/contrast/contrast_setting.h"
#include "varserve/v1/intervention.pb.h"

namespace varserve::interventions {

inline constexpr char kVcd[] = "vcd";

// INVALID_ARGUMENT beginning with the name of a field.
absl::StatusOr<std::shared_ptr<const ContrastSetting>> ReadVcd(const v1::VcdOptions& options);

}  // namespace varserve::interventions
