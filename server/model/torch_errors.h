// The one place where LibTorch's exceptions become statuses.
#pragma once

#include <functional>

#include "absl/status/status.h"

namespace varserve::model {

// Runs `body` in inference mode. Out of memory: RESOURCE_EXHAUSTED; any other exception: INTERNAL, without
// the back trace.
absl::Status CatchTorchErrors(const std::function<absl::Status()>& body);

}  // namespace varserve::model
