#include "server/engine/queue_policy.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/engine/retry_delay.h"

namespace varserve::engine {
namespace {

constexpr double kFadingSeconds = 30.0;  // of busy time; what is older counts less than 1/e
constexpr absl::Duration kMinRetryDelay = absl::Milliseconds(100);
constexpr absl::Duration kMaxRetryDelay = absl::Minutes(1);

}  // namespace

void QueuePolicy::Rate::Add(double amount, absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  const double kept = std::exp(-seconds / kFadingSeconds);
  amount_ = amount_ * kept + amount;
  seconds_ = seconds_ * kept + seconds;
}

absl::Status QueuePolicy::Enter(absl::Span<const QueuedRequest> group, absl::Time deadline, absl::Time now) {
  const int64_t requests = static_cast<int64_t>(group.size());
  int64_t tokens = 0;
  for (const QueuedRequest& request : group) tokens += request.prefix_tokens + request.suffix_tokens;
  const int64_t excess_requests = waiting_ + requests - limits_.max_waiting;
  const int64_t excess_tokens = waiting_tokens_ + tokens - limits_.max_waiting_tokens;
  if (waiting_ > 0 && (excess_requests > 0 || excess_tokens > 0)) {
    const absl::Duration delay = RetryDelay(excess_requests, excess_tokens);
    return WithRetryDelay(absl::ResourceExhaustedError(absl::StrCat(
                              "queue: ", waiting_, " requests with ", waiting_tokens_,
                              " prompt tokens wait (limits ", limits_.max_waiting, " and ",
                              limits_.max_waiting_tokens, "); try again in ", absl::FormatDuration(delay))),
                          delay);
  }
  if (const auto wait = EstimatedWait(); wait && now + *wait > deadline) {
    return absl::DeadlineExceededError(absl::StrCat(
        "deadline: ", absl::FormatDuration(deadline - now), " away, but the requests that wait take ",
        absl::FormatDuration(*wait), "; give more time or try another replica"));
  }
  for (const QueuedRequest& request : group) {
    const bool prefix_waits_already = waiting_with_prefix_[request.prefix_key]++ > 0;
    distinct_tokens_ += request.suffix_tokens + (prefix_waits_already ? 0 : request.prefix_tokens);
  }
  waiting_ += static_cast<int>(requests);
  waiting_tokens_ += tokens;
  return absl::OkStatus();
}

void QueuePolicy::Leave(const QueuedRequest& request) {
  --waiting_;
  waiting_tokens_ -= request.prefix_tokens + request.suffix_tokens;
  distinct_tokens_ -= request.suffix_tokens;
  const auto it = waiting_with_prefix_.find(request.prefix_key);
  if (--it->second == 0) {
    distinct_tokens_ -= request.prefix_tokens;
    waiting_with_prefix_.erase(it);
  }
}

void QueuePolicy::OnRound(const RoundStats& round) {
  if (backlogged_step_ > absl::ZeroDuration()) {
    admissions_.Add(round.admitted, backlogged_step_);
  }
  backlogged_step_ = waiting_ > 0 ? round.step_duration : absl::ZeroDuration();
  if (round.prefill_tokens > 0) {
    prompt_tokens_.Add(static_cast<double>(round.prefill_tokens + round.cached_tokens), round.step_duration);
  }
}

std::optional<absl::Duration> QueuePolicy::EstimatedWait() const {
  const double rate = prompt_tokens_.PerSecond();
  if (rate <= 0.0) return std::nullopt;
  return absl::Seconds(static_cast<double>(distinct_tokens_) / rate);
}

absl::Duration QueuePolicy::RetryDelay(int64_t excess_requests, int64_t excess_tokens) const {
  const double rate = admissions_.PerSecond();
  if (rate <= 0.0) return kDefaultRetryDelay;
  const double tokens_per_request = static_cast<double>(waiting_tokens_) / waiting_;
  const double requests =
      std::max(static_cast<double>(excess_requests), static_cast<double>(excess_tokens) / tokens_per_request);
  return std::clamp(absl::Seconds(requests / rate), kMinRetryDelay, kMaxRetryDelay);
}

}  // namespace varserve::engine
