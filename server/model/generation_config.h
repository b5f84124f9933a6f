// What generation_config.json says about answers, or config.json where there is no such file: the tokens that
// end one, and what else transformers would do to a greedy answer, which this server refuses. How a request
// samples is its own to say, so that sampling settings are not read.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"

namespace varserve::model {

// `generation` may be null: there is no such file. FAILED_PRECONDITION naming file and field.
absl::StatusOr<std::vector<int32_t>> ReadEosTokens(const nlohmann::json& config,
                                                   const nlohmann::json* generation, int vocab_size);

}  // namespace varserve::model
