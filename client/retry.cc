#include "client/retry.h"

#include <algorithm>

#include "client/rpc_status.h"

namespace varserve::client {
namespace {

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(500);
constexpr absl::Duration kLongestBackoff = absl::Seconds(16);

}  // namespace

std::optional<absl::Duration> RetryWait(const absl::Status& status, int retries, double random) {
  const std::optional<absl::Duration> delay = RetryDelay(status);
  const bool passes = absl::IsUnavailable(status) || (absl::IsResourceExhausted(status) && delay.has_value());
  if (!passes) return std::nullopt;
  if (delay.has_value()) return *delay * (1 + 0.5 * random);
  const absl::Duration backoff = std::min(kFirstBackoff * (1 << std::min(retries, 10)), kLongestBackoff);
  return backoff * (0.8 + 0.4 * random);
}

}  // namespace varserve::client
