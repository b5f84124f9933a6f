// Fetches pictures by http and https, from hosts that are allowed and, by default, from public addresses
// only. Redirects are followed, each checked like the first URL. Certificates are verified. Proxies of the
// environment are not used: they would connect where nobody checks. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/stop.h"
#include "server/fetch/host_list.h"

namespace varserve::fetch {

struct FetchOptions {
  HostList hosts;                              // empty: nothing is fetched
  bool private_addresses = false;              // also from addresses that are not public
  absl::Duration timeout = absl::Seconds(10);  // for a picture, with its redirects
};

class ImageFetcher {
 public:
  explicit ImageFetcher(FetchOptions options);

  bool enabled() const { return !options_.hosts.empty(); }

  // What can be said of a URL without connecting. INVALID_ARGUMENT, as Fetch.
  absl::Status Check(const std::string& url) const;

  // The body, at most `max_bytes`. Takes up to the timeout. INVALID_ARGUMENT with a message for the caller,
  // or what `stop` returns, which is asked about once a second.
  absl::StatusOr<std::string> Fetch(const std::string& url, int64_t max_bytes, Stop stop) const;

 private:
  const FetchOptions options_;
};

}  // namespace varserve::fetch
