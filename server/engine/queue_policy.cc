#include "server/engine/queue_policy.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/retry_delay.h"

namespace varserve::engine {
namespace {

constexpr double kFadingSeconds = 30.0;  // of busy time; what is older counts less than 1/e
constexpr double kLastRequests = 8.0;    // their prompts tell the usual size
constexpr absl::Duration kMinRetryDelay = absl::Milliseconds(100);
constexpr absl::Duration kMaxRetryDelay = absl::Minutes(1);

}  // namespace

void QueuePolicy::Rate::Add(double amount, absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  const double kept = std::exp(-seconds / kFadingSeconds);
  amount_ = amount_ * kept + amount;
  seconds_ = seconds_ * kept + seconds;
}

absl::Status QueuePolicy::Reserve(absl::Time deadline, absl::Time now) {
  RETURN_IF_ERROR(CheckLimits(waiting_ + reserved_, 1, static_cast<int64_t>(tokens_per_request_)));
  RETURN_IF_ERROR(CheckDeadline(deadline, now));
  ++reserved_;
  return absl::OkStatus();
}

absl::Status QueuePolicy::Enter(absl::Span<const QueuedRequest> group, absl::Time deadline, absl::Time now,
                                Place place) {
  const int places = place == Place::kReserved ? 1 : 0;
  const auto size = [](const QueuedRequest& request) {
    return int64_t{request.prefix_tokens} + request.suffix_tokens;
  };
  int64_t tokens = 0;
  for (const QueuedRequest& request : group) tokens += size(request);
  const auto requests = static_cast<int64_t>(group.size());
  if (requests > places) RETURN_IF_ERROR(CheckLimits(waiting_ + reserved_ - places, requests, tokens));
  RETURN_IF_ERROR(CheckDeadline(deadline, now));

  reserved_ -= places;
  for (const QueuedRequest& request : group) {
    const bool prefix_waits_already = waiting_with_prefix_[request.prefix_key]++ > 0;
    distinct_tokens_ += request.suffix_tokens + (prefix_waits_already ? 0 : request.prefix_tokens);
    ++waiting_;
    waiting_tokens_ += size(request);
    const auto tokens_now = static_cast<double>(size(request));
    tokens_per_request_ +=
        tokens_per_request_ == 0.0 ? tokens_now : (tokens_now - tokens_per_request_) / kLastRequests;
  }
  return absl::OkStatus();
}

absl::Status QueuePolicy::CheckLimits(int64_t waiting, int64_t requests, int64_t tokens) const {
  const int64_t waiting_tokens =
      waiting_tokens_ + static_cast<int64_t>(static_cast<double>(waiting - waiting_) * tokens_per_request_);
  const int64_t excess_requests = waiting + requests - limits_.max_waiting - room_;
  const int64_t excess_tokens = waiting_tokens + tokens - limits_.max_waiting_tokens;
  if (waiting == 0 || (excess_requests <= 0 && excess_tokens <= 0)) return absl::OkStatus();
  const absl::Duration delay = RetryDelay(excess_requests, excess_tokens);
  return WithRetryDelay(absl::ResourceExhaustedError(absl::StrCat(
                            "queue: ", waiting, " requests with ", waiting_tokens,
                            " prompt tokens wait (limits ", limits_.max_waiting, " and ",
                            limits_.max_waiting_tokens, "); try again in ", absl::FormatDuration(delay))),
                        delay);
}

absl::Status QueuePolicy::CheckDeadline(absl::Time deadline, absl::Time now) const {
  if (deadline <= now) return absl::DeadlineExceededError("deadline: has passed; give more time");
  if (const auto wait = EstimatedWait(); wait && now + *wait > deadline) {
    return absl::DeadlineExceededError(absl::StrCat(
        "deadline: ", absl::FormatDuration(deadline - now), " away, but the requests that wait take ",
        absl::FormatDuration(*wait), "; give more time or try another replica"));
  }
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
  const double requests = std::max(static_cast<double>(excess_requests),
                                   static_cast<double>(excess_tokens) / std::max(tokens_per_request_, 1.0));
  return std::clamp(absl::Seconds(requests / rate), kMinRetryDelay, kMaxRetryDelay);
}

}  // namespace varserve::engine
