#include "client/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/channel.h"

namespace varserve::client {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ParseTarget, LeavesOneAddressAndSchemesAsTheyAre) {
  for (const char* address : {"localhost:50051", "10.0.0.1:80", "[::1]:50051", "dns:///varserve:50051",
                              "unix:/run/varserve.sock", "ipv4:10.0.0.1:1,10.0.0.2:1"}) {
    EXPECT_EQ(ParseTarget(address).value(), address);
  }
}

TEST(ParseTarget, MakesAListOfSeveral) {
  EXPECT_EQ(ParseTarget("10.0.0.1:1, 10.0.0.2:2").value(), "ipv4:10.0.0.1:1,10.0.0.2:2");
  EXPECT_EQ(ParseTarget("[::1]:1,[fe80::2]:2").value(), "ipv6:[::1]:1,[fe80::2]:2");
  EXPECT_EQ(ParseTarget("localhost:1,127.0.0.1:2").value(), "ipv4:127.0.0.1:1,127.0.0.1:2");
}

TEST(ParseTarget, SaysWhatIsWrong) {
  for (const char* address : {"", "localhost", ":1", "a:", "a:0", "a:65536", "a:x", "::1:50051", "[::1]",
                              "a:1,", "a:1,b", "127.0.0.1:1,[::1]:1"}) {
    const absl::Status status = ParseTarget(address).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), StartsWith("address: ")) << address;
  }
}

TEST(ParseTarget, NamesTheHostThatDoesNotResolve) {
  EXPECT_THAT(std::string(ParseTarget("127.0.0.1:1,no-such-host.invalid:2").status().message()),
              HasSubstr("has a host that does not resolve: no-such-host.invalid"));
  EXPECT_THAT(std::string(ParseTarget("127.0.0.1:1,[::1]:2").status().message()),
              HasSubstr("of the same kind"));
}

TEST(ParseTarget, WantsNoSchemeOfAnotherProtocol) {
  for (const char* address : {"http://localhost:8000", "https://localhost"})
    EXPECT_THAT(std::string(ParseTarget(address).status().message()),
                HasSubstr("a scheme that is not gRPC's"));
}

TEST(CreateChannel, WantsTlsOptionsThatBelongTogether) {
  const TlsOptions half{.cert = "certificate"};
  EXPECT_EQ(CreateChannel({.tls = half}).status().code(), absl::StatusCode::kInvalidArgument);
  const TlsOptions no_certificate{.ca = "PEM"};
  EXPECT_THAT(std::string(CreateChannel({.tls = no_certificate}).status().message()),
              StartsWith("tls: the authority"));
  const ConnectOptions list{.address = "127.0.0.1:1,127.0.0.1:2", .tls = TlsOptions()};
  EXPECT_EQ(CreateChannel(list).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace varserve::client
