// Decides at submission whether a request may wait: by the limits of the queue, and by its deadline and the
// measured speed of the engine. Pure policy; the engine guards it with its mutex. Thread-compatible.
//
// A request may take its place before its prompt is known, so that no picture is decoded for one that is
// refused. Such a place counts as a waiting request of the usual size, and what takes it up later is not
// refused for the limits' sake.
//
// It errs towards accepting. A group of requests is always taken while nothing waits. Requests for which the
// batch has room do not count as waiting. A deadline counts as out of reach only when the prompts that wait,
// each distinct prefix once, take longer than that at the speed prompts, cached tokens included, went by in
// steps with prefill; before anything was measured none does.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/base/prompt.h"

namespace varserve::engine {

struct QueueLimits {
  int max_waiting = 256;                // requests
  int64_t max_waiting_tokens = 262144;  // of their prompts
};

// What the policy knows of a request.
struct QueuedRequest {
  Digest prefix_key{};
  int prefix_tokens = 0;
  int suffix_tokens = 0;  // of the prompt
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
  explicit QueuePolicy(const QueueLimits& limits) : limits_(limits) {}

  // Whether a request may come to wait; if so, it has a place from now on. Errors as of Enter.
  absl::Status Reserve(absl::Time deadline, absl::Time now);
  // A place is given up.
  void GiveBack() { --reserved_; }

  // Whether a group may wait, all or none; if so, it counts as waiting from now on. RESOURCE_EXHAUSTED with a
  // retry delay (retry_delay.h) or DEADLINE_EXCEEDED. With a place a group of one is not refused for the
  // limits' sake; the place is used up unless this fails.
  enum class Place { kNone, kReserved };
  absl::Status Enter(absl::Span<const QueuedRequest> group, absl::Time deadline, absl::Time now,
                     Place place = Place::kNone);
  // A request does not wait any more: admitted or ended.
  void Leave(const QueuedRequest& request);
  void OnRound(const RoundStats& round);
  // How many more requests the batch takes; 0 while it takes none for want of memory.
  void SetRoom(int requests) { room_ = requests; }

  int waiting() const { return waiting_; }
  int64_t waiting_tokens() const { return waiting_tokens_; }
  // How long what waits takes at least; none before anything was measured.
  std::optional<absl::Duration> EstimatedWait() const;

 private:
  // Amounts per second, the past fading with time.
  class Rate {
   public:
    void Add(double amount, absl::Duration duration);
    double PerSecond() const { return seconds_ > 0.0 ? amount_ / seconds_ : 0.0; }

   private:
    double amount_ = 0.0;
    double seconds_ = 0.0;
  };

  // Whether so much more may wait beside `waiting` requests.
  absl::Status CheckLimits(int64_t waiting, int64_t requests, int64_t tokens) const;
  absl::Status CheckDeadline(absl::Time deadline, absl::Time now) const;
  // Until so much waits less that the group fits.
  absl::Duration RetryDelay(int64_t excess_requests, int64_t excess_tokens) const;

  const QueueLimits limits_;
  int reserved_ = 0;
  int room_ = 0;
  double tokens_per_request_ = 0.0;  // of those that entered, the last ones counting most
  int waiting_ = 0;
  int64_t waiting_tokens_ = 0;
  int64_t distinct_tokens_ = 0;                           // waiting ones, each prefix counted once
  absl::flat_hash_map<Digest, int> waiting_with_prefix_;  // requests
  Rate prompt_tokens_;                                    // in steps with prefill
  Rate admissions_;                                       // while requests wait
  absl::Duration backlogged_step_;                        // the last step's, if requests waited through it
};

}  // namespace varserve::engine
