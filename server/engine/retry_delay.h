// When a refused request may be tried again: a duration that rides on an absl::Status as a payload.
// Thread-safe.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace varserve::engine {

// The payload is the delay in nanoseconds, as decimal text.
inline constexpr absl::string_view kRetryDelayTypeUrl = "varserve/engine.retry_delay_ns";

// Where no rate of service was measured yet.
inline constexpr absl::Duration kDefaultRetryDelay = absl::Seconds(1);

absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);

// None where the status carries none: trying again does not help.
std::optional<absl::Duration> GetRetryDelay(const absl::Status& status);

}  // namespace varserve::engine
