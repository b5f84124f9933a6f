#include "server/transport/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "gtest/gtest.h"

namespace varserve::transport {
namespace {

sockaddr_storage Address(const char* v6, int port) {
  sockaddr_storage storage{};
  sockaddr_in6 address{.sin6_family = AF_INET6, .sin6_port = htons(static_cast<uint16_t>(port))};
  EXPECT_EQ(inet_pton(AF_INET6, v6, &address.sin6_addr), 1);
  std::memcpy(&storage, &address, sizeof(address));
  return storage;
}

TEST(PeerTest, NamesPeersAsGrpcDoes) {
  sockaddr_storage storage{};
  const sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(80), .sin_addr = {htonl(0x0a000007)}};
  std::memcpy(&storage, &address, sizeof(address));
  EXPECT_EQ(PeerOf(storage), "ipv4:10.0.0.7:80");
  EXPECT_EQ(PeerOf(Address("fd00::1", 443)), "ipv6:%5Bfd00::1%5D:443");
  EXPECT_EQ(PeerOf(Address("::ffff:10.0.0.7", 80)), "ipv4:10.0.0.7:80") << "through a socket for both";
  storage.ss_family = AF_UNIX;
  EXPECT_EQ(PeerOf(storage), "");
}

TEST(PeerTest, AnAddressHasNoPort) {
  EXPECT_EQ(AddressOf("ipv4:10.0.0.7:80"), "10.0.0.7");
  EXPECT_EQ(AddressOf("ipv6:%5Bfd00::1%5D:443"), "fd00::1");
  EXPECT_EQ(AddressOf("ipv6:[fd00::1]:443"), "fd00::1");
  EXPECT_EQ(AddressOf("ipv6:%5B::1%5D:443"), "127.0.0.1");
  EXPECT_EQ(AddressOf("unix:"), "unix");
  EXPECT_EQ(AddressOf("unix:/tmp/socket"), "unix");
  EXPECT_EQ(AddressOf(""), "");
}

}  // namespace
}  // namespace varserve::transport
