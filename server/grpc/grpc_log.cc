#include "server/grpc/grpc_log.h"

#include <grpc/support/log.h>

#include <atomic>
#include <cstdio>

#include "absl/strings/match.h"

namespace varserve::rpc {
namespace {

// gRPC's log callback takes no data.
std::atomic<telemetry::Logger*> receiver = nullptr;

void Receive(gpr_log_func_args* line) {
  // The process ends after this line.
  if (absl::StrContains(line->message, "assertion failed"))
    std::fprintf(stderr, "gRPC: %s:%d: %s\n", line->file, line->line, line->message);
  if (telemetry::Logger* logger = receiver.load()) logger->Library("grpc", line->message);
}

}  // namespace

GrpcLog::GrpcLog(telemetry::Logger* logger) {
  receiver = logger;
  gpr_set_log_function(&Receive);
}

GrpcLog::~GrpcLog() {
  gpr_set_log_function(nullptr);
  receiver = nullptr;
}

}  // namespace varserve::rpc
