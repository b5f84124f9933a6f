// Decides at submission whether a request may wait: by the limits of the queue, of all of it and of one
// caller, and by its deadline and the measured speed of the engine. Pure policy; the engine guards it with
// its mutex. Thread-compatible.
//
// A request may take its place before its prompt is known, so that no picture is decoded for one that is
// refused. Such a place counts as a waiting request of the usual size, and what takes it up later is not
// refused for the limits' sake.
//
// It errs towards accepting. A group of requests is always taken while nothing waits, or, as far as the limit
// of a caller goes, nothing of this caller. Requests for which the batch has room, the places for callers
// with none running left out, do not count as waiting. A deadline counts as out of reach only when the
// prompts that have their turn before, each distinct prefix once, take longer than that at the speed prompts,
// cached tokens included, went by in steps with prefill; before anything was measured none does.
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
  // Requests of one caller, and of tokens the same share. Not set: three quarters of max_waiting, so that
  // whoever comes finds a place beside one who takes all he can get.
  std::optional<int> max_waiting_per_caller;
};

// What the policy knows of a request.
struct QueuedRequest {
  std::string caller;  // as in GenerationRequest
  absl::Time arrival;
  Digest prefix_key{};
  int prefix_tokens = 0;
  int suffix_tokens = 0;  // of the prompt

  int64_t tokens() const { return int64_t{prefix_tokens} + suffix_tokens; }
};

// What the engine did between two looks at its queue.
struct RoundStats {
  int admitted = 0;            // sequences
  int64_t cached_tokens = 0;   // of the admitted ones
  int64_t prefill_tokens = 0;  // computed
  absl::Duration step_duration;
};

class QueuePolicy {
 public:
  explicit QueuePolicy(const QueueLimits& limits);

  // The place of a request that is not known yet.
  struct Place {
    std::string caller;
    absl::Time arrival;
  };
  // Whether a request may come to wait; if so, it has a place from now on. Errors as of Enter.
  absl::StatusOr<Place> Reserve(const std::string& caller, absl::Time deadline, absl::Time now);
  // A place is given up.
  void GiveBack(const Place& place);

  // Whether a group of one caller may wait, all or none; if so, it counts as waiting from now on.
  // RESOURCE_EXHAUSTED with a retry delay (retry_delay.h), its message naming the queue or the caller, or
  // DEADLINE_EXCEEDED. With a place a group of one is not refused for the limits' sake; the place is used up
  // unless this fails. REQUIRES: a group that is not empty.
  absl::Status Enter(absl::Span<const QueuedRequest> group, absl::Time deadline, absl::Time now,
                     const Place* place = nullptr);
  // A request does not wait any more: admitted or ended.
  void Leave(const QueuedRequest& request);
  void OnRound(const RoundStats& round);
  // How many more requests the batch takes; 0 while it takes none because memory is short.
  void SetRoom(int requests) { room_ = requests; }

  int reserved() const { return reserved_; }
  int waiting() const { return all_.requests(); }
  int64_t waiting_tokens() const { return all_.tokens(); }
  // Of all that wait or have a place; none where nobody does.
  std::optional<absl::Time> oldest_arrival() const;
  // How long what has its turn before one more request of this caller takes at least; none before anything
  // was measured.
  std::optional<absl::Duration> EstimatedWait(const std::string& caller) const;

 private:
  // Requests that wait, of everybody or of one caller.
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
  // Amounts per second, the past fading with time.
  class Rate {
   public:
    void Add(double amount, absl::Duration duration);
    double PerSecond() const { return seconds_ > 0.0 ? amount_ / seconds_ : 0.0; }

   private:
    double amount_ = 0.0;
    double seconds_ = 0.0;
  };
  // A limit, what counts against it, and what is to be added.
  struct Limit {
    std::string who;  // begins the message
    int64_t max_requests = 0;
    int64_t max_tokens = 0;
    const Line& line;
    int64_t reserved = 0;
    double share = 1.0;  // of the admissions
  };

  absl::Status CheckLimits(const std::string& caller, int places, int64_t requests, int64_t tokens) const;
  absl::Status CheckLimit(const Limit& limit, int64_t requests, int64_t tokens) const;
  absl::Status CheckDeadline(const std::string& caller, absl::Time deadline, absl::Time now) const;
  // Until so much waits less that the group fits, where this share of the admissions helps.
  absl::Duration RetryDelay(int64_t excess_requests, int64_t excess_tokens, double share) const;
  void DropIfIdle(const std::string& caller);

  const QueueLimits limits_;
  const int64_t max_caller_requests_;
  const int64_t max_caller_tokens_;
  int room_ = 0;
  double tokens_per_request_ = 0.0;  // of those that entered, the last ones counting most
  Line all_;
  int reserved_ = 0;
  std::map<std::string, Caller> callers_;  // those that wait or have a place
  std::multiset<absl::Time> arrivals_;     // of the same requests
  Rate prompt_tokens_;                     // in steps with prefill
  Rate admissions_;                        // while requests wait
  absl::Duration backlogged_step_;         // the last step's, if requests waited through it
};

}  // namespace varserve::engine
