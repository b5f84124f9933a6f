// The gRPC server around the service: address, TLS, limits, health, reflection. Thread-safe after Start.
//
// Health has two names: "" means that the process is alive (for liveness probes), the service's name that it
// accepts requests (for readiness and startup probes).
#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/grpc/health_service.h"
#include "server/grpc/inference_service.h"
#include "server/grpc/probe_server.h"
#include "server/grpc/reflection_service.h"
#include "server/telemetry/logging.h"
#include "server/transport/connection_acceptor.h"
#include "server/transport/tls_files.h"

namespace varserve::rpc {

struct GrpcServerOptions {
  std::string listen = "0.0.0.0:50051";  // host:port, where port 0 picks a free one; or unix:PATH
  std::string health_listen;             // host:port for health only, without TLS; empty: none
  int max_metadata_bytes = 16 << 10;     // per call
  int max_concurrent_streams = 1000;     // per connection
  int max_connections = 1000;
  // max_connection_idle: a connection without calls is closed. max_connection_age: every connection is asked
  // to close, and its calls may continue for the grace period.
  absl::Duration max_connection_idle = absl::Minutes(15);
  absl::Duration max_connection_age = absl::Minutes(30);
  absl::Duration max_connection_age_grace = absl::Hours(1);
  transport::TlsFiles tls;
  int other_files = 0;  // that the process may open in addition to these connections
};

class GrpcServer {
 public:
  // The service and the logger must outlive the server.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           InferenceService* service,
                                                           telemetry::Logger* logger);
  // Like Shutdown, without a deadline. Takes no longer than the calls need to notice.
  ~GrpcServer();

  int port() const { return acceptor_->port(); }
  int health_port() const { return probes_ == nullptr ? 0 : probes_->port(); }
  void SetHealth(bool live, bool ready);
  // Accepts no new calls, waits for running ones until `deadline`, then cancels them. Does not wait for
  // health watches.
  void Shutdown(absl::Time deadline);

 private:
  explicit GrpcServer(InferenceService* service);

  InferenceService* const service_;
  HealthService health_;
  ReflectionService reflection_;
  std::unique_ptr<transport::ConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ProbeServer> probes_;  // may be null
};

}  // namespace varserve::rpc
