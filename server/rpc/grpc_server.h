// The gRPC server around the service: address, TLS, limits, health, reflection. Thread-safe after Start.
//
// Health has two names: "" says that the process lives (probe liveness with it), the service's name that it
// takes requests (probe readiness and startup with it).
#pragma once

#include <grpcpp/server.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/rpc/inference_service.h"
#include "server/rpc/probe_server.h"

namespace varserve::rpc {

struct GrpcServerOptions {
  std::string listen = "0.0.0.0:50051";  // host:port; port 0 picks a free one
  std::string health_listen;             // host:port of health alone, without TLS; empty: none
  int64_t max_message_bytes = 64 << 20;  // of a request
  int max_metadata_bytes = 16 << 10;     // of a call
  int max_concurrent_streams = 1000;     // per connection
  // PEM files; read again when they change. All empty: no TLS. With a client CA clients must show a
  // certificate of it.
  std::string tls_cert;
  std::string tls_key;
  std::string tls_client_ca;
};

class GrpcServer {
 public:
  // The service must outlive the server.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           InferenceService* service);

  int port() const { return port_; }
  int health_port() const { return probes_ == nullptr ? 0 : probes_->port(); }
  void SetHealth(bool live, bool ready);
  // Takes no new calls, waits for those that run until `deadline`, then cancels them.
  void Shutdown(absl::Time deadline);

 private:
  GrpcServer() = default;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ProbeServer> probes_;  // may be null
  int port_ = 0;
};

}  // namespace varserve::rpc
