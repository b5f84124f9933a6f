// When to retry a rejected request: a duration attached to an absl::Status as a payload. Thread-safe.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace varserve::engine {

// The payload is the delay in nanoseconds, as decimal text.
inline constexpr absl::string_view kRetryDelayTypeUrl = "varserve/engine.retry_delay_ns";

// Used before a service rate was measured.
inline constexpr absl::Duration kDefaultRetryDelay = absl::Seconds(1);

absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);

// nullopt if the status has none: retrying does not help.
std::optional<absl::Duration> GetRetryDelay(const absl::Status& status);

}  // namespace varserve::engine
