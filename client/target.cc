#include "client/target.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace varserve::client {
namespace {

struct HostPort {
  std::string host;  // without brackets
  std::string port;
};

absl::Status Invalid(absl::string_view address, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat("address: \"", address, "\" ", problem));
}

bool HasScheme(absl::string_view address) {
  constexpr absl::string_view kSchemes[] = {"dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "xds:"};
  for (const absl::string_view scheme : kSchemes) {
    if (absl::StartsWith(address, scheme)) return true;
  }
  return false;
}

absl::StatusOr<HostPort> ParseHostPort(absl::string_view address) {
  if (absl::StrContains(address, "://"))
    return Invalid(address, "begins with a scheme that is not gRPC's; write host:port");
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos) return Invalid(address, "has no port; write host:port");
  absl::string_view host = address.substr(0, colon);
  const absl::string_view port = address.substr(colon + 1);
  if (absl::ConsumePrefix(&host, "[")) {
    if (!absl::ConsumeSuffix(&host, "]")) return Invalid(address, "has no port; write [host]:port");
  } else if (absl::StrContains(host, ':')) {
    return Invalid(address, "is ambiguous; write an IPv6 address as [host]:port");
  }
  if (host.empty()) return Invalid(address, "has no host; write host:port");
  int number = 0;
  if (!absl::SimpleAtoi(port, &number) || number < 1 || number > 65535) {
    return Invalid(address, "has no port between 1 and 65535 after the colon");
  }
  return HostPort{std::string(host), std::string(port)};
}

// The first address of `family` the host has.
std::optional<std::string> Resolve(const HostPort& from, int family) {
  const addrinfo hints{.ai_family = family, .ai_socktype = SOCK_STREAM};
  addrinfo* found = nullptr;
  if (getaddrinfo(from.host.c_str(), from.port.c_str(), &hints, &found) != 0) return std::nullopt;
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, &freeaddrinfo);
  std::array<char, NI_MAXHOST> number;
  if (getnameinfo(found->ai_addr, found->ai_addrlen, number.data(), number.size(), nullptr, 0,
                  NI_NUMERICHOST) != 0) {
    return std::nullopt;
  }
  return family == AF_INET6 ? absl::StrCat("[", number.data(), "]:", from.port)
                            : absl::StrCat(number.data(), ":", from.port);
}

}  // namespace

absl::StatusOr<std::string> ParseTarget(absl::string_view address) {
  address = absl::StripAsciiWhitespace(address);
  if (HasScheme(address)) return std::string(address);
  std::vector<HostPort> hosts;
  for (const absl::string_view one : absl::StrSplit(address, ',')) {
    absl::StatusOr<HostPort> host = ParseHostPort(absl::StripAsciiWhitespace(one));
    if (!host.ok()) return host.status();
    hosts.push_back(*std::move(host));
  }
  if (hosts.size() == 1) return std::string(address);

  // A list has to be of one family.
  for (const auto& [family, scheme] : {std::pair(AF_INET, "ipv4:"), std::pair(AF_INET6, "ipv6:")}) {
    std::vector<std::string> numbers;
    for (const HostPort& host : hosts) {
      std::optional<std::string> number = Resolve(host, family);
      if (!number.has_value()) break;
      numbers.push_back(*std::move(number));
    }
    if (numbers.size() == hosts.size()) return absl::StrCat(scheme, absl::StrJoin(numbers, ","));
  }
  for (const HostPort& host : hosts) {
    if (!Resolve(host, AF_UNSPEC).has_value())
      return Invalid(address, absl::StrCat("has a host that does not resolve: ", host.host));
  }
  return Invalid(address, "is a list in which not every host has an address of the same kind, IPv4 or IPv6");
}

}  // namespace varserve::client
