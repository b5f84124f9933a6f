// Requests as the queue's policy sees them, and the time they come.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "server/engine/queue_policy.h"

namespace varserve::engine {

inline const absl::Time kNow = absl::FromUnixSeconds(1'000'000);
inline const absl::Time kNever = absl::InfiniteFuture();

inline QueuedRequest Request(uint8_t prefix, int prefix_tokens = 600, int suffix_tokens = 40) {
  QueuedRequest request{.arrival = kNow, .prefix_tokens = prefix_tokens, .suffix_tokens = suffix_tokens};
  request.prefix_key[0] = prefix;
  return request;
}

inline QueuedRequest Of(const std::string& caller, QueuedRequest request) {
  request.caller = caller;
  return request;
}

// Measures `tokens_per_second` in a second of prefill.
inline RoundStats Prefill(int64_t tokens_per_second) {
  return {.admitted = 0,
          .cached_tokens = 0,
          .prefill_tokens = tokens_per_second,
          .step_duration = absl::Seconds(1)};
}

}  // namespace varserve::engine
