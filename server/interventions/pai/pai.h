// Pay Attention to Image: amplifies attention to the picture (docs/interventions.md, "PAI").
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/interventions/attention/options.h"
#include "server/interventions/setting/setting.h"
#include "varserve/v1/intervention.pb.h"

namespace varserve::interventions {

inline constexpr char kPai[] = "pai";

// INVALID_ARGUMENT beginning with the name of a field.
absl::StatusOr<std::shared_ptr<const Setting>> ReadPai(const v1::PaiOptions& options,
                                                       const AttentionDefaults& defaults);

}  // namespace varserve::interventions
