#include "server/transport/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace varserve::transport {
namespace {

std::string Number(int family, const void* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(family, address, text.data(), text.size()) == nullptr ? "" : text.data();
}

}  // namespace

std::string PeerOf(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof(v4));
    return absl::StrCat("ipv4:", Number(AF_INET, &v4.sin_addr), ":", ntohs(v4.sin_port));
  }
  if (address.ss_family != AF_INET6) return "";
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address, sizeof(v6));
  const int port = ntohs(v6.sin6_port);
  // An IPv4 caller on a dual-stack socket.
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
    return absl::StrCat("ipv4:", Number(AF_INET, &v6.sin6_addr.s6_addr[12]), ":", port);
  return absl::StrCat("ipv6:%5B", Number(AF_INET6, &v6.sin6_addr), "%5D:", port);
}

std::string AddressOf(absl::string_view peer) {
  if (absl::ConsumePrefix(&peer, "ipv4:")) return std::string(peer.substr(0, peer.rfind(':')));
  if (!absl::ConsumePrefix(&peer, "ipv6:")) return std::string(peer.substr(0, peer.find(':')));
  peer = peer.substr(0, peer.rfind(':'));
  if (!absl::ConsumePrefix(&peer, "%5B")) absl::ConsumePrefix(&peer, "[");
  if (!absl::ConsumeSuffix(&peer, "%5D")) absl::ConsumeSuffix(&peer, "]");
  if (peer == "::1") return "127.0.0.1";
  return std::string(peer);
}

}  // namespace varserve::transport
