#include "server/engine/queue_policy.h"

#include <algorithm>
#include <cmath>

#include "absl/numeric/int128.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/retry_delay.h"

namespace varserve::engine {
namespace {

constexpr double kFadingSeconds = 30.0;  // busy time after which a measurement counts only 1/e
constexpr double kLastRequests = 8.0;    // requests whose prompts determine the usual size
constexpr absl::Duration kMinRetryDelay = absl::Milliseconds(100);
constexpr absl::Duration kMaxRetryDelay = absl::Minutes(1);

int64_t CallerRequests(const QueueLimits& limits) {
  return limits.max_waiting_per_caller.value_or((3 * int64_t{limits.max_waiting} + 3) / 4);
}

// A caller's share of the tokens is its share of the requests.
int64_t CallerTokens(const QueueLimits& limits) {
  if (limits.max_waiting == 0) return limits.max_waiting_tokens;
  const auto requests = std::min<int64_t>(CallerRequests(limits), limits.max_waiting);
  return static_cast<int64_t>(absl::int128(limits.max_waiting_tokens) * requests / limits.max_waiting);
}

}  // namespace

void QueuePolicy::Rate::Add(double amount, absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  const double kept = std::exp(-seconds / kFadingSeconds);
  amount_ = amount_ * kept + amount;
  seconds_ = seconds_ * kept + seconds;
}

void QueuePolicy::Line::Add(const QueuedRequest& request) {
  const bool prefix_waits_already = with_prefix_[request.prefix_key]++ > 0;
  distinct_tokens_ += request.suffix_tokens + (prefix_waits_already ? 0 : request.prefix_tokens);
  tokens_ += request.tokens();
  ++requests_;
}

void QueuePolicy::Line::Remove(const QueuedRequest& request) {
  --requests_;
  tokens_ -= request.tokens();
  distinct_tokens_ -= request.suffix_tokens;
  const auto it = with_prefix_.find(request.prefix_key);
  if (--it->second > 0) return;
  distinct_tokens_ -= request.prefix_tokens;
  with_prefix_.erase(it);
}

QueuePolicy::QueuePolicy(const QueueLimits& limits)
    : limits_(limits),
      max_caller_requests_(CallerRequests(limits)),
      max_caller_tokens_(CallerTokens(limits)) {}

absl::StatusOr<QueuePolicy::Place> QueuePolicy::Reserve(const std::string& caller, absl::Time deadline,
                                                        absl::Time now) {
  RETURN_IF_ERROR(CheckLimits(caller, 0, 1, static_cast<int64_t>(tokens_per_request_)));
  RETURN_IF_ERROR(CheckDeadline(caller, deadline, now));
  ++reserved_;
  ++callers_[caller].reserved;
  arrivals_.insert(now);
  return Place{.caller = caller, .arrival = now};
}

void QueuePolicy::GiveBack(const Place& place) {
  --reserved_;
  --callers_.at(place.caller).reserved;
  arrivals_.erase(arrivals_.find(place.arrival));
  DropIfIdle(place.caller);
}

absl::Status QueuePolicy::Enter(absl::Span<const QueuedRequest> group, absl::Time deadline, absl::Time now,
                                const Place* place) {
  const std::string& caller = group.front().caller;
  const int places = place != nullptr ? 1 : 0;
  int64_t tokens = 0;
  for (const QueuedRequest& request : group) tokens += request.tokens();
  const auto requests = static_cast<int64_t>(group.size());
  if (requests > places) RETURN_IF_ERROR(CheckLimits(caller, places, requests, tokens));
  RETURN_IF_ERROR(CheckDeadline(caller, deadline, now));

  for (const QueuedRequest& request : group) {
    all_.Add(request);
    callers_[caller].line.Add(request);
    arrivals_.insert(request.arrival);
    const auto size = static_cast<double>(request.tokens());
    tokens_per_request_ += tokens_per_request_ == 0.0 ? size : (size - tokens_per_request_) / kLastRequests;
  }
  if (place != nullptr) GiveBack(*place);
  return absl::OkStatus();
}

absl::Status QueuePolicy::CheckLimits(const std::string& caller, int places, int64_t requests,
                                      int64_t tokens) const {
  RETURN_IF_ERROR(CheckLimit({.who = "queue:",
                              .max_requests = limits_.max_waiting,
                              .max_tokens = limits_.max_waiting_tokens,
                              .line = all_,
                              .reserved = reserved_ - places},
                             requests, tokens));
  const auto it = callers_.find(caller);
  if (caller.empty() || it == callers_.end()) return absl::OkStatus();
  return CheckLimit({.who = absl::StrCat("caller: of \"", absl::CHexEscape(caller), "\""),
                     .max_requests = max_caller_requests_,
                     .max_tokens = max_caller_tokens_,
                     .line = it->second.line,
                     .reserved = it->second.reserved - places,
                     .share = 1.0 / static_cast<double>(callers_.size())},
                    requests, tokens);
}

absl::Status QueuePolicy::CheckLimit(const Limit& limit, int64_t requests, int64_t tokens) const {
  const int64_t waiting = limit.line.requests() + limit.reserved;
  const int64_t waiting_tokens =
      limit.line.tokens() + static_cast<int64_t>(static_cast<double>(limit.reserved) * tokens_per_request_);
  const int64_t excess_requests = waiting + requests - limit.max_requests - room_;
  const int64_t excess_tokens = waiting_tokens + tokens - limit.max_tokens;
  if (waiting == 0 || (excess_requests <= 0 && excess_tokens <= 0)) return absl::OkStatus();
  const absl::Duration delay = RetryDelay(excess_requests, excess_tokens, limit.share);
  return WithRetryDelay(
      absl::ResourceExhaustedError(absl::StrCat(
          limit.who, " ", waiting, " requests with ", waiting_tokens, " prompt tokens wait (limits ",
          limit.max_requests, " and ", limit.max_tokens, "); try again in ", absl::FormatDuration(delay))),
      delay);
}

absl::Status QueuePolicy::CheckDeadline(const std::string& caller, absl::Time deadline,
                                        absl::Time now) const {
  if (deadline <= now) return absl::DeadlineExceededError("deadline: has passed; give more time");
  if (const auto wait = EstimatedWait(caller); wait && now + *wait > deadline) {
    return absl::DeadlineExceededError(absl::StrCat(
        "deadline: ", absl::FormatDuration(deadline - now), " away, but the requests that wait take ",
        absl::FormatDuration(*wait), "; give more time or try another replica"));
  }
  return absl::OkStatus();
}

void QueuePolicy::Leave(const QueuedRequest& request) {
  all_.Remove(request);
  callers_.at(request.caller).line.Remove(request);
  arrivals_.erase(arrivals_.find(request.arrival));
  DropIfIdle(request.caller);
}

void QueuePolicy::DropIfIdle(const std::string& caller) {
  const auto it = callers_.find(caller);
  if (it->second.line.requests() == 0 && it->second.reserved == 0) callers_.erase(it);
}

void QueuePolicy::OnRound(const RoundStats& round) {
  if (backlogged_step_ > absl::ZeroDuration()) {
    admissions_.Add(round.admitted, backlogged_step_);
  }
  backlogged_step_ = waiting() > 0 ? round.step_duration : absl::ZeroDuration();
  if (round.prefill_tokens > 0) {
    prompt_tokens_.Add(static_cast<double>(round.prefill_tokens + round.cached_tokens), round.step_duration);
  }
}

std::optional<absl::Time> QueuePolicy::oldest_arrival() const {
  if (arrivals_.empty()) return std::nullopt;
  return *arrivals_.begin();
}

std::optional<absl::Duration> QueuePolicy::EstimatedWait(const std::string& caller) const {
  const double rate = prompt_tokens_.PerSecond();
  if (rate <= 0.0) return std::nullopt;
  // Callers take turns: until all waiting requests of this caller and one more are admitted, another caller
  // has at most as many admissions.
  const auto own = callers_.find(caller);
  const int turns = 1 + (own == callers_.end() ? 0 : own->second.line.requests());
  double tokens = 0.0;
  for (const auto& [name, other] : callers_) {
    const int requests = other.line.requests();
    const double share = requests <= turns ? 1.0 : static_cast<double>(turns) / requests;
    tokens += share * static_cast<double>(other.line.distinct_tokens());
  }
  return absl::Seconds(std::min(tokens, static_cast<double>(all_.distinct_tokens())) / rate);
}

absl::Duration QueuePolicy::RetryDelay(int64_t excess_requests, int64_t excess_tokens, double share) const {
  const double rate = admissions_.PerSecond() * share;
  if (rate <= 0.0) return kDefaultRetryDelay;
  const double requests = std::max(static_cast<double>(excess_requests),
                                   static_cast<double>(excess_tokens) / std::max(tokens_per_request_, 1.0));
  return std::clamp(absl::Seconds(requests / rate), kMinRetryDelay, kMaxRetryDelay);
}

}  // namespace varserve::engine
