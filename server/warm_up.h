// A first pass through the whole model before the server says that it is ready.
#pragma once

#include "absl/status/status.h"
#include "server/engine/model_runner.h"
#include "server/preprocess/preprocessor.h"

namespace varserve {

// One question about a grey picture: vision tower, prefill, one decoded token. Uses the first KV blocks and
// clears them.
absl::Status WarmUp(const preprocess::Preprocessor& preprocessor, engine::ModelRunner& runner);

}  // namespace varserve
