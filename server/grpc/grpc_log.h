// Redirects gRPC's own log lines, such as failed handshakes, to the server's log. gRPC's threads would write
// them to standard error, and block if nobody reads it. Only one may exist at a time; thread-safe.
#pragma once

#include "server/telemetry/logging.h"

namespace varserve::rpc {

class GrpcLog {
 public:
  // Redirects to `logger` until the destructor runs; gRPC must not be used after that.
  explicit GrpcLog(telemetry::Logger* logger);
  ~GrpcLog();
  GrpcLog(const GrpcLog&) = delete;
  GrpcLog& operator=(const GrpcLog&) = delete;
};

}  // namespace varserve::rpc
