// Multi-modal mutual-information decoding: contrasts with the prompt without its pictures
// (docs/interventions.md, "M3ID").
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/interventions/contrast/contrast_setting.h"
#include "varserve/v1/intervention.pb.h"

namespace varserve::interventions {

inline constexpr char kM3id[] = "m3id";

// INVALID_ARGUMENT beginning with the name of a field.
absl::StatusOr<std::shared_ptr<const ContrastSetting>> ReadM3id(const v1::M3idOptions& options);

}  // namespace varserve::interventions
