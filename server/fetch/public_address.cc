#include "server/fetch/public_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>

namespace varserve::fetch {
namespace {

struct Network {
  uint32_t address;
  int prefix;
};

constexpr uint32_t Ip(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}

constexpr Network kSpecial[] = {
    {Ip(0, 0, 0, 0), 8},      {Ip(10, 0, 0, 0), 8},     {Ip(100, 64, 0, 0), 10}, {Ip(127, 0, 0, 0), 8},
    {Ip(169, 254, 0, 0), 16}, {Ip(172, 16, 0, 0), 12},  {Ip(192, 0, 0, 0), 24},  {Ip(192, 0, 2, 0), 24},
    {Ip(192, 88, 99, 0), 24}, {Ip(192, 168, 0, 0), 16}, {Ip(198, 18, 0, 0), 15}, {Ip(198, 51, 100, 0), 24},
    {Ip(203, 0, 113, 0), 24}, {Ip(224, 0, 0, 0), 3},
};

bool IsPublicV4(uint32_t address) {
  return std::none_of(std::begin(kSpecial), std::end(kSpecial), [address](const Network& network) {
    return (address ^ network.address) >> (32 - network.prefix) == 0;
  });
}

// Global unicast is 2000::/3. In it, 2001::/23 is special, with Teredo's IPv4 addresses; 2001:db8::/32 and
// 3fff::/20 are for documentation, and 2002::/16 holds IPv4 addresses.
bool IsPublicV6(const uint8_t (&address)[16]) {
  const uint32_t first = Ip(address[0], address[1], address[2], address[3]);
  return first >> 29 == 1 && first >> 9 != 0x20010000U >> 9 && first != 0x20010db8U &&
         first >> 16 != 0x2002 && first >> 12 != 0x3fff0000U >> 12;
}

}  // namespace

bool IsPublic(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof(v4));
    return IsPublicV4(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof(v6));
    return IsPublicV6(v6.sin6_addr.s6_addr);
  }
  return false;
}

}  // namespace varserve::fetch
