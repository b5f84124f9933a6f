// Decides at submission whether a request may wait: by the limits of the whole queue and of one caller, and
// by its deadline and the measured speed of the engine. Pure policy; the engine guards it with its mutex.
// Thread-compatible.
//
// A request can reserve a place before its prompt is known, so that no image is decoded for a request that is
// then rejected. A place counts as a waiting request of the usual size. Limits do not apply to the request
// that uses it.
//
// The policy prefers to accept. A group of requests is always accepted if nothing is waiting, and passes the
// caller's limit if nothing of this caller is waiting. Requests that the batch has room for, not counting the
// places reserved for callers with none running, do not count as waiting. A deadline is out of reach only if
// the prompts that go first (each distinct prefix counted once) take longer at the speed at which prompts,
// including cached tokens, passed through steps with prefill. Before anything was measured, no deadline is.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/base/prompt.h"

namespace varserve::engine {

struct QueueLimits {
  int max_waiting = 256;                // requests
  int64_t max_waiting_tokens = 262144;  // of their prompts
  // Requests of one caller, and the same share of tokens. Not set: three quarters of max_waiting, so that one
  // caller cannot fill the queue.
  std::optional<int> max_waiting_per_caller;
};

// What the policy knows about a request.
struct QueuedRequest {
  std::string caller;  // as in GenerationRequest
  absl::Time arrival;
  Digest prefix_key{};
  int prefix_tokens = 0;
  int suffix_tokens = 0;  // of the prompt

  int64_t tokens() const { return int64_t{prefix_tokens} + suffix_tokens; }
};

// What the engine did between two updates of the queue.
struct RoundStats {
  int admitted = 0;            // sequences
  int64_t cached_tokens = 0;   // of the admitted ones
  int64_t prefill_tokens = 0;  // computed
  absl::Duration step_duration;
};

class QueuePolicy {
 public:
  explicit QueuePolicy(const QueueLimits& limits);

  // The place of a request whose prompt is not known yet.
  struct Place {
    std::string caller;
    absl::Time arrival;
  };
  // Whether a request may come to wait; if so, it has a place from now on. Errors: see Enter.
  absl::StatusOr<Place> Reserve(const std::string& caller, absl::Time deadline, absl::Time now);
  // Gives a place back.
  void GiveBack(const Place& place);

  // Whether a group of one caller may wait, all or none; if so, it counts as waiting from now on.
  // RESOURCE_EXHAUSTED with a retry delay (retry_delay.h) and a message naming the queue or the caller, or
  // DEADLINE_EXCEEDED. Limits do not apply to a group of one with a place; the place is used up unless this
  // fails. REQUIRES: the group is not empty.
  absl::Status Enter(absl::Span<const QueuedRequest> group, absl::Time deadline, absl::Time now,
                     const Place* place = nullptr);
  // A request no longer waits: it was admitted or ended.
  void Leave(const QueuedRequest& request);
  void OnRound(const RoundStats& round);
  // Number of further requests that the batch can take; 0 while memory is short.
  void SetRoom(int requests) { room_ = requests; }

  int reserved() const { return reserved_; }
  int waiting() const { return all_.requests(); }
  int64_t waiting_tokens() const { return all_.tokens(); }
  // Of all requests that wait or have a place; nullopt if there are none.
  std::optional<absl::Time> oldest_arrival() const;
  // Minimum time that the requests before one more of this caller take; nullopt before anything was measured.
  std::optional<absl::Duration> EstimatedWait(const std::string& caller) const;

 private:
  // Waiting requests, of everyone or of one caller.
  class Line {
   public:
    void Add(const QueuedRequest& request);
    void Remove(const QueuedRequest& request);
    int requests() const { return requests_; }
    int64_t tokens() const { return tokens_; }
    int64_t distinct_tokens() const { return distinct_tokens_; }  // each prefix counted once

   private:
    int requests_ = 0;
    int64_t tokens_ = 0;
    int64_t distinct_tokens_ = 0;
    absl::flat_hash_map<Digest, int> with_prefix_;  // requests
  };
  struct Caller {
    Line line;
    int reserved = 0;
  };
  // Amounts per second; older ones count less.
  class Rate {
   public:
    void Add(double amount, absl::Duration duration);
    double PerSecond() const { return seconds_ > 0.0 ? amount_ / seconds_ : 0.0; }

   private:
    double amount_ = 0.0;
    double seconds_ = 0.0;
  };
  // A limit, what already counts against it, and what would be added.
  struct Limit {
    std::string who;  // start of the error message
    int64_t max_requests = 0;
    int64_t max_tokens = 0;
    const Line& line;
    int64_t reserved = 0;
    double share = 1.0;  // of all admissions
  };

  absl::Status CheckLimits(const std::string& caller, int places, int64_t requests, int64_t tokens) const;
  absl::Status CheckLimit(const Limit& limit, int64_t requests, int64_t tokens) const;
  absl::Status CheckDeadline(const std::string& caller, absl::Time deadline, absl::Time now) const;
  // Time until enough requests have left for the group to fit, given this share of the admissions.
  absl::Duration RetryDelay(int64_t excess_requests, int64_t excess_tokens, double share) const;
  void DropIfIdle(const std::string& caller);

  const QueueLimits limits_;
  const int64_t max_caller_requests_;
  const int64_t max_caller_tokens_;
  int room_ = 0;
  double tokens_per_request_ = 0.0;  // mean over past requests, recent ones weigh more
  Line all_;
  int reserved_ = 0;
  std::map<std::string, Caller> callers_;  // those with requests that wait or have a place
  std::multiset<absl::Time> arrivals_;     // of the same requests
  Rate prompt_tokens_;                     // in steps with prefill
  Rate admissions_;                        // while requests are waiting
  absl::Duration backlogged_step_;         // duration of the last step, if requests waited throughout
};

}  // namespace varserve::engine
