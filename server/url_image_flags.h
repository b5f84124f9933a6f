// Flags of pictures that are fetched from other servers.
#pragma once

#include "absl/status/status.h"
#include "server/config.h"

namespace varserve {

// Messages name the flag.
absl::Status ReadUrlImageFlags(ServerConfig& config);

}  // namespace varserve
