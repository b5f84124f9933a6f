// Visual Amplification Fusion: weighs picture and text before it anew in middle layers
// (docs/interventions.md, "VAF").
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/interventions/attention/options.h"
#include "server/interventions/setting/setting.h"
#include "varserve/v1/intervention.pb.h"

namespace varserve::interventions {

inline constexpr char kVaf[] = "vaf";

// INVALID_ARGUMENT beginning with the name of a field.
absl::StatusOr<std::shared_ptr<const Setting>> ReadVaf(const v1::VafOptions& options,
                                                       const AttentionDefaults& defaults);

}  // namespace varserve::interventions
