// The way to the servers: where they are, how they are trusted, who we say we are. Plain data, and a gRPC
// channel made of it.
#pragma once

#include <grpcpp/channel.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace varserve::client {

// Contents of PEM files, not their names.
struct TlsOptions {
  std::string ca;    // who may sign the server's certificate; empty: gRPC's default roots
  std::string cert;  // ours, where the server asks for one (mTLS), with its key; empty: none
  std::string key;
  std::string server_name;  // in the server's certificate, where it is not the address's
};

struct ConnectOptions {
  std::string address = "localhost:50051";  // see target.h
  std::optional<TlsOptions> tls;            // none: plain text
  std::string token;                        // bearer token of every call; empty: none
};

// Calls go round robin over all addresses that answer. Nothing is dialled before the first call.
// INVALID_ARGUMENT naming the option.
absl::StatusOr<std::shared_ptr<grpc::Channel>> CreateChannel(const ConnectOptions& options);

}  // namespace varserve::client
