// VarOptions in JSON: the message's field names, and its enum values by their full names or short ones, such
// as "on" for VAR_MODE_ON. Thread-safe.
#pragma once

#include "absl/status/status.h"
#include "nlohmann/json.hpp"
#include "varserve/v1/var.pb.h"

namespace varserve::openai {

// Sets what the object says; the rest stays. INVALID_ARGUMENT naming the field if one is not known or has a
// value of another kind. Ranges are the pipeline's business.
absl::Status ReadVarOptions(const nlohmann::json& object, v1::VarOptions& options);

}  // namespace varserve::openai
