#include "server/fetch/public_address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <string>

namespace varserve::fetch {
namespace {

bool IsPublicText(const std::string& text) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  if (inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) return IsPublic(reinterpret_cast<sockaddr&>(v4));
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr), 1) << text;
  return IsPublic(reinterpret_cast<sockaddr&>(v6));
}

TEST(PublicAddressTest, TheInternetIsPublic) {
  for (const char* text : {"1.1.1.1",         "8.8.8.8",        "9.255.255.255",        "11.0.0.0",
                           "100.63.255.255",  "100.128.0.0",    "126.255.255.255",      "128.0.0.1",
                           "169.253.255.255", "172.15.255.255", "172.32.0.0",           "192.0.1.0",
                           "192.167.255.255", "192.169.0.0",    "198.17.255.255",       "198.20.0.0",
                           "223.255.255.255", "2001:200::1",    "2606:4700:4700::1111", "2a00:1450::1"}) {
    EXPECT_TRUE(IsPublicText(text)) << text;
  }
}

TEST(PublicAddressTest, OwnNetworksAndSpecialAddressesAreNot) {
  for (const char* text : {"0.0.0.0",
                           "0.1.2.3",
                           "10.0.0.0",
                           "10.255.255.255",
                           "100.64.0.0",
                           "100.127.255.255",
                           "127.0.0.1",
                           "127.255.255.255",
                           "169.254.169.254",
                           "172.16.0.0",
                           "172.31.255.255",
                           "192.0.0.1",
                           "192.0.2.1",
                           "192.88.99.1",
                           "192.168.0.0",
                           "192.168.255.255",
                           "198.18.0.0",
                           "198.19.255.255",
                           "198.51.100.7",
                           "203.0.113.7",
                           "224.0.0.1",
                           "239.255.255.255",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "::ffff:127.0.0.1",
                           "::ffff:8.8.8.8",
                           "::127.0.0.1",
                           "64:ff9b::7f00:1",
                           "100::1",
                           "2001::1",
                           "2001:1ff::1",
                           "2001:db8::1",
                           "2002:7f00:1::",
                           "3fff::1",
                           "fc00::1",
                           "fd12::1",
                           "fe80::1",
                           "ff02::1"}) {
    EXPECT_FALSE(IsPublicText(text)) << text;
  }
}

TEST(PublicAddressTest, OtherFamiliesAreNot) {
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  EXPECT_FALSE(IsPublic(reinterpret_cast<sockaddr&>(local)));
}

}  // namespace
}  // namespace varserve::fetch
