// Whether a call that was refused is tried again, and when. Thread-safe.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace varserve::client {

// How long to wait before a call that ended with `status`, and was tried again `retries` times already, is
// made once more; none where that cannot help. UNAVAILABLE (starting, draining, not reachable) passes, and so
// does RESOURCE_EXHAUSTED where the server names a time; without one the request fits at no time.
//
// The time is the server's or up to a half more, else half a second, twice as much each time and at most 16
// s, a fifth less or more: `random`, in [0, 1), spreads clients that were refused together.
std::optional<absl::Duration> RetryWait(const absl::Status& status, int retries, double random);

}  // namespace varserve::client
