// Addresses that sockets listen on. Thread-safe.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace varserve {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

// All addresses of a host to listen on, or of every interface if `host` is empty. `port` is a number.
// UNAVAILABLE with only the resolver's reason.
absl::StatusOr<std::vector<SocketAddress>> Resolve(const std::string& host, const std::string& port);

// A non-blocking, close-on-exec socket bound to the address. An IPv6 socket also accepts IPv4. Returns -1 and
// sets errno on failure.
int BindSocket(const SocketAddress& address);

// The port of a bound socket; 0 for a Unix socket.
int PortOf(int socket);

}  // namespace varserve
