// How calls end, in abseil's words. Thread-safe.
#pragma once

#include <grpcpp/support/status.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace varserve::client {

// The same code and message; a google.rpc.RetryInfo in the details becomes a payload. A stream that a proxy
// reset is UNAVAILABLE, not gRPC's INTERNAL or RESOURCE_EXHAUSTED.
absl::Status FromGrpcStatus(const grpc::Status& status);

// When a refused request may be tried again, if the server said so.
std::optional<absl::Duration> RetryDelay(const absl::Status& status);

}  // namespace varserve::client
