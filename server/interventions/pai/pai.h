// Pay Attention to Image: amplifies attention to the picture (docs/interventions.md, "PAI").
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/interventions/attention/options.h"
#include "server/interventions/contrast/contrast_setting.h"
#include "server/interventions/setting/setting.h"
#include "varserve/v1/intervention.pb.h"

namespace varserve::interventions {

inline constexpr char kPai[] = "pai";

// INVALID_ARGUMENT beginning with the name of a field.
absl::StatusOr<std::shared_ptr<const Setting>> ReadPai(const v1::PaiOptions& options,
                                                       const AttentionDefaults& defaults);

// The method's second part, the contrast with the prompt without its pictures. Null without gamma. REQUIRES:
// ReadPai accepts the options.
std::shared_ptr<const ContrastSetting> PaiContrast(const v1::PaiOptions& options);

}  // namespace varserve::interventions
