// The gRPC server around the service: address, TLS, limits, health, reflection. Thread-safe after Start.
//
// Health has two names: "" says that the process lives (probe liveness with it), the service's name that it
// takes requests (probe readiness and startup with it).
#pragma once

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/grpc/connection_acceptor.h"
#include "server/grpc/health_service.h"
#include "server/grpc/inference_service.h"
#include "server/grpc/probe_server.h"
#include "server/grpc/reflection_service.h"
#include "server/telemetry/logging.h"

namespace varserve::rpc {

struct GrpcServerOptions {
  std::string listen = "0.0.0.0:50051";  // host:port, where port 0 picks a free one; or unix:PATH
  std::string health_listen;             // host:port of health alone, without TLS; empty: none
  int max_metadata_bytes = 16 << 10;     // of a call
  int max_concurrent_streams = 1000;     // per connection
  int max_connections = 1000;
  // What a connection without calls is closed after; what any is asked to go after, and how long its calls
  // may then go on.
  absl::Duration max_connection_idle = absl::Minutes(15);
  absl::Duration max_connection_age = absl::Minutes(30);
  absl::Duration max_connection_age_grace = absl::Hours(1);
  // PEM files; read again when they change. All empty: no TLS. With a client CA clients must show a
  // certificate of it.
  std::string tls_cert;
  std::string tls_key;
  std::string tls_client_ca;
};

class GrpcServer {
 public:
  // The service and the logger must outlive the server.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcServerOptions& options,
                                                           InferenceService* service,
                                                           telemetry::Logger* logger);
  // Like Shutdown, at once. Whatever calls there are, it takes no longer than they need to notice.
  ~GrpcServer();

  int port() const { return acceptor_->port(); }
  int health_port() const { return probes_ == nullptr ? 0 : probes_->port(); }
  void SetHealth(bool live, bool ready);
  // Takes no new calls, waits for those that run until `deadline`, then cancels them. Not for those that only
  // watch health.
  void Shutdown(absl::Time deadline);

 private:
  explicit GrpcServer(InferenceService* service);

  InferenceService* const service_;
  HealthService health_;
  ReflectionService reflection_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<ProbeServer> probes_;  // may be null
};

}  // namespace varserve::rpc
