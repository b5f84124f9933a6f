// Hands the connections that an acceptor accepts to gRPC. Thread-safe.
#pragma once

#include <grpcpp/server_builder.h>

#include "server/transport/connection_acceptor.h"

namespace varserve::rpc {

// Starts the acceptor. `grpc` must outlive the acceptor's thread.
inline void PassConnections(transport::ConnectionAcceptor& acceptor,
                            grpc::experimental::ExternalConnectionAcceptor* grpc) {
  acceptor.Start([grpc](int listener, int socket) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters connection;
    connection.listener_fd = listener;
    connection.fd = socket;
    grpc->HandleNewConnection(&connection);
  });
}

}  // namespace varserve::rpc
