// gRPC's own log lines, such as those about handshakes that fail, in the server's log. Its threads would
// write them to standard error themselves, and wait for whoever reads it. One at a time; thread-safe.
#pragma once

#include "server/telemetry/logging.h"

namespace varserve::rpc {

class GrpcLog {
 public:
  // From now on to `logger`, until this ends; gRPC is not to be used any more then.
  explicit GrpcLog(telemetry::Logger* logger);
  ~GrpcLog();
  GrpcLog(const GrpcLog&) = delete;
  GrpcLog& operator=(const GrpcLog&) = delete;
};

}  // namespace varserve::rpc
