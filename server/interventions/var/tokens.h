// Sinks (docs/var.md). Row parameters, evidence and block sharing all use these rules. Pure functions,
// thread-safe.
#pragma once

#include <cmath>
#include <limits>

#include "server/interventions/eligible_rows.h"
#include "server/interventions/var/settings.h"

namespace varserve::interventions {

// phi is measured in one plane per variant, because their epsilons differ. Indexed by VarVariant.
inline constexpr int kNumPhiPlanes = 2;

// In the paper, each token is tested as it is processed and is a sink if phi >= tau. The authors' code finds
// sinks once, in the prompt, with phi > tau.
struct SinkRule {
  explicit SinkRule(const VarSettings& var)
      : only_in_prompt(var.variant == VarVariant::kAuthorsCode),
        least_phi(var.variant == VarVariant::kAuthorsCode
                      ? std::nextafter(var.tau, std::numeric_limits<float>::infinity())
                      : var.tau),
        phi_plane(static_cast<int>(var.variant)) {}

  // Whether the token at `position`, with this phi in a layer, is a sink of the layer.
  bool IsSink(const Prompt& prompt, int position, float phi) const {
    return phi >= least_phi && (!only_in_prompt || position < prompt.size());
  }

  bool only_in_prompt;
  float least_phi;
  int phi_plane;
};

}  // namespace varserve::interventions
