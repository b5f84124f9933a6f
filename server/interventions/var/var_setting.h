// VAR of one request as a transport sees it.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "server/interventions/setting/setting.h"
#include "server/interventions/var/options.h"

namespace varserve::interventions {

// Errors: see ReadVarOptions.
absl::StatusOr<std::shared_ptr<const Setting>> ReadVarSetting(const v1::VarOptions& options,
                                                              const VarDefaults& defaults);

}  // namespace varserve::interventions
