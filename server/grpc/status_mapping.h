// Converts absl::Status to gRPC's status.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace varserve::rpc {

// Same code and message, the message cut to 1024 bytes. A retry delay (server/engine/retry_delay.h) becomes a
// google.rpc.RetryInfo in the status details.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace varserve::rpc
