// generation_config.json, or config.json if there is no such file: the tokens that end an answer, and
// settings with which transformers would change a greedy answer, which this server rejects. Sampling settings
// are not read: they belong to the request.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json_fwd.hpp"

namespace varserve::model {

// `generation` is null if there is no such file. FAILED_PRECONDITION naming file and field.
absl::StatusOr<std::vector<int32_t>> ReadEosTokens(const nlohmann::json& config,
                                                   const nlohmann::json* generation, int vocab_size);

}  // namespace varserve::model
