// What gRPC calls a peer, like "ipv4:10.0.0.7:51234" or "ipv6:%5Bfd00::1%5D:51234". Thread-safe.
#pragma once

#include <sys/socket.h>

#include <string>

#include "absl/strings/string_view.h"

namespace varserve::rpc {

// gRPC's name of a socket's other end. Empty where it has none that is unique: a Unix socket.
std::string PeerOf(const sockaddr_storage& address);

// The address in it without the port: "10.0.0.7", "fd00::1"; "unix" for what came through a Unix socket.
std::string AddressOf(absl::string_view peer);

}  // namespace varserve::rpc
