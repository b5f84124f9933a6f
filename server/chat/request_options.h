// A request's sampling options, checked and converted to the engine's types. Errors are
// INVALID_ARGUMENT beginning with the name of a field of GenerateOptions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/engine/request.h"
#include "varserve/v1/inference.pb.h"

namespace varserve::chat {

inline constexpr int kMaxStopStrings = 8;

struct SamplingRequest {
  engine::SamplingParams params;
  std::vector<std::string> stop;
};

// `random_seed` is used if the caller sets none.
absl::StatusOr<SamplingRequest> ReadGenerateOptions(const v1::GenerateOptions& options, int vocabulary,
                                                    uint64_t random_seed);

}  // namespace varserve::chat
