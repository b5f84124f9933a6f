// The options of interventions in JSON: the messages' field names, and their enum values by full names or
// short ones, such as "on" for VAR_MODE_ON. Thread-safe.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"
#include "varserve/v1/intervention.pb.h"

namespace varserve::openai {

// Sets what the object at `path` of the request says; the rest stays. INVALID_ARGUMENT naming the field if
// one is not known or has a value of another kind. Ranges are the pipeline's business.
absl::Status ReadOptions(const nlohmann::json& object, const std::string& path,
                         google::protobuf::Message& options);

// Of {"pai": {"alpha": 0.3}, "vcd": {}}, the request's "intervention": a method that changes attention, a
// contrast, or one of each. Keeps what `intervention` has of the same methods. Errors: see ReadOptions, or
// there is no method, or one too many.
absl::Status ReadIntervention(const nlohmann::json& object, v1::Intervention& intervention);

}  // namespace varserve::openai
