// Image-guided head suppression: weakens the heads that look at the picture least (docs/interventions.md,
// "SPIN").
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/interventions/attention/options.h"
#include "server/interventions/setting/setting.h"
#include "varserve/v1/intervention.pb.h"

namespace varserve::interventions {

inline constexpr char kSpin[] = "spin";

// INVALID_ARGUMENT beginning with the name of a field.
absl::StatusOr<std::shared_ptr<const Setting>> ReadSpin(const v1::SpinOptions& options,
                                                        const AttentionDefaults& defaults);

}  // namespace varserve::interventions
