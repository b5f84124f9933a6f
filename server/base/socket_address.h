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

// All addresses of a host to listen on; those of every interface where it is empty. `port`: a number.
// UNAVAILABLE with the resolver's reason alone.
absl::StatusOr<std::vector<SocketAddress>> Resolve(const std::string& host, const std::string& port);

// A socket bound to the address, which blocks nobody, is inherited by no other program, and of IPv6 takes
// IPv4, too. -1 with errno where that cannot be.
int BindSocket(const SocketAddress& address);

// The port of a bound socket; 0 of a Unix socket.
int PortOf(int socket);

}  // namespace varserve
