// An intervention that changes rows of attention in one way, with the same parameters for all of them: PAI,
// VAF, SPIN. Such a method is an AttentionRow to copy, and the rule which rows it is for.
#pragma once

#include <cstdint>
#include <memory>

#include "server/interventions/attention_row.h"
#include "server/interventions/intervention.h"

namespace varserve::interventions {

// Which rows a method changes, of those that interventions may change (eligible_rows.h).
enum class ChangedRows : uint8_t {
  kText,    // text after an image, of the prompt and of the answer
  kAnswer,  // those from which the answer's tokens are chosen: the prompt's last token, and generated ones
};

struct RowSetting {
  const char* method = "";  // its field in the API's Intervention; outlives the intervention
  ChangedRows rows = ChangedRows::kText;
  // Its change, layers and parameters. text_slots is set by the prompt.
  AttentionRow row;
};

std::shared_ptr<const Intervention> MakeRowIntervention(const RowSetting& setting);

}  // namespace varserve::interventions
