// Names of peers as gRPC makes them, such as "ipv4:10.0.0.7:51234" or "ipv6:%5Bfd00::1%5D:51234".
// Thread-safe.
#pragma once

#include <sys/socket.h>

#include <string>

#include "absl/strings/string_view.h"

namespace varserve::transport {

// The name of a socket's peer. Empty for a Unix socket, which has no unique one.
std::string PeerOf(const sockaddr_storage& address);

// The address in a peer name, without the port: "10.0.0.7", "fd00::1"; "unix" for a Unix socket. This machine
// is 127.0.0.1 by IPv6 too, because clients of "localhost" use both addresses alternately.
std::string AddressOf(absl::string_view peer);

}  // namespace varserve::transport
