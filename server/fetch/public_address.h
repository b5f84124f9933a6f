// Which addresses belong to the public internet, so that nobody reaches the server's own network through it.
// Thread-safe.
#pragma once

#include <sys/socket.h>

namespace varserve::fetch {

// False for loopback, private, link-local, shared, documentation, multicast and other special addresses of
// IPv4 and IPv6 (IANA's special-purpose registries), for IPv6 addresses that stand for one of IPv4, and for
// other families.
bool IsPublic(const sockaddr& address);

}  // namespace varserve::fetch
