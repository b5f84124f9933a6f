// The hosts that pictures may be fetched from. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace varserve::fetch {

class HostList {
 public:
  // Separated by commas: names, IPv4 addresses, IPv6 addresses in brackets, "*.example.com" for all names
  // below that one, and "*" for every host. Empty: none. INVALID_ARGUMENT names what is none of these.
  static absl::StatusOr<HostList> Parse(absl::string_view text);

  bool empty() const { return hosts_.empty(); }
  // `host` as in a URL; its case and a final dot do not matter.
  bool Allows(absl::string_view host) const;

 private:
  std::vector<std::string> hosts_;  // in lower case; ".example.com" for the names below it, "" for every host
};

}  // namespace varserve::fetch
