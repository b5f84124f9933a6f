// Flags of the model: which, where and how it is computed.
#pragma once

#include "absl/status/status.h"
#include "server/config.h"

namespace varserve {

// Messages name the flag.
absl::Status ReadModelFlags(ServerConfig& config);

}  // namespace varserve
