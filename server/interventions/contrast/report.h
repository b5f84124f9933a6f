// What a contrast did in one request. Meanings: see ContrastReport in intervention.proto. Plain data.
#pragma once

#include <cstdint>

#include "server/interventions/contrast_rule.h"
#include "server/interventions/intervention.h"

namespace varserve::interventions {

struct ContrastReport final : Report {
  const char* method = "";  // as in ContrastSetting
  int64_t sibling_prompt_tokens = 0;
  int64_t sibling_cached_tokens = 0;
  int64_t tokens = 0;
  int64_t contrasted_tokens = 0;
  int64_t changed_tokens = 0;
  int64_t plausible_tokens = 0;  // sum over `tokens`

  void Add(const ContrastEvidence& evidence) {
    ++tokens;
    contrasted_tokens += evidence.contrasted;
    changed_tokens += evidence.changed;
    plausible_tokens += evidence.plausible_tokens;
  }
};

}  // namespace varserve::interventions
