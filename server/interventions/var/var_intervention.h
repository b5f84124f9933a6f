// Visual Attention Redistribution for one request (docs/var.md). Engine and model runner use nothing else
// from this folder.
#pragma once

#include <memory>

#include "absl/strings/string_view.h"
#include "server/interventions/intervention.h"
#include "server/interventions/var/settings.h"

namespace varserve::interventions {

// Null if the mode is off. `preset`: see VarReport; it must outlive the intervention.
std::shared_ptr<const Intervention> MakeVarIntervention(const VarSettings& settings,
                                                        absl::string_view preset = kVarPresets[0].name);

}  // namespace varserve::interventions
