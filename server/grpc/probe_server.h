// Health in plain text on a separate port, for probes that do not support TLS or must not depend on a
// certificate. Serves only grpc.health.v1.Health/Check. The names are those in grpc_server.h. Thread-safe.
#pragma once

#include <grpcpp/server_builder.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/transport/connection_acceptor.h"

namespace varserve::rpc {

class ProbeServer {
 public:
  // `listen` is host:port, where port 0 picks a free one. Initially nothing is serving. UNAVAILABLE naming
  // the flag.
  static absl::StatusOr<std::unique_ptr<ProbeServer>> Start(const std::string& listen);
  ~ProbeServer();

  int port() const { return acceptor_->port(); }
  void SetHealth(bool live, bool ready);

 private:
  class Service;
  ProbeServer();

  std::unique_ptr<Service> service_;
  std::unique_ptr<transport::ConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace varserve::rpc
