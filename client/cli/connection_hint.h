// What to change about the flags when a call could not reach the server. Thread-safe.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "client/channel.h"

namespace varserve::cli {

// One sentence on gRPC's error for a connection that failed, or for a timeout; empty where there is none.
std::string ConnectionHint(const absl::Status& status, const client::ConnectOptions& options);

}  // namespace varserve::cli
