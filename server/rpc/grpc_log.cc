#include "server/rpc/grpc_log.h"

#include <grpc/support/log.h>

#include <atomic>

namespace varserve::rpc {
namespace {

// gRPC takes a function and no data with it.
std::atomic<telemetry::Logger*> receiver = nullptr;

void Receive(gpr_log_func_args* line) {
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
