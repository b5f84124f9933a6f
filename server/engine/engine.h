// The continuous-batching engine: a thread-safe interface, and one thread that runs steps while there are
// requests. Thread-safe, but Drain and Stop must not be called from an OutputSink.
//
// Submit accepts or rejects a request immediately. From then on the engine thread calls the request's sink
// until the request ends. Cancellation, deadlines and draining take effect between two steps, wherever the
// request is.
//
// The engine breaks if the device no longer works, or if an exception that belongs to no request reaches its
// thread. Then every request ends with UNAVAILABLE, new ones are rejected, and health() has the reason. The
// process should exit.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/base/clock.h"
#include "server/base/prompt.h"
#include "server/engine/engine_core.h"
#include "server/engine/model_runner.h"
#include "server/engine/observer.h"
#include "server/engine/queue_policy.h"
#include "server/engine/request.h"
#include "server/engine/scheduler.h"

namespace varserve::engine {

// Who can reuse what a request left in the prefix cache. With kCaller, nothing that a caller sees or can
// measure depends on other callers' prompts.
enum class PrefixCacheScope : uint8_t { kShared, kCaller };

struct EngineOptions {
  SchedulerOptions scheduler;
  QueueLimits queue;
  PrefixCacheScope prefix_cache_scope = PrefixCacheScope::kShared;
  Digest model_fingerprint{};  // equal only for models that compute the same K and V
};

struct Submission {
  GenerationRequest request;
  std::shared_ptr<OutputSink> sink;
};

// UNAVAILABLE, for callers that come, or whose requests are left, when the server ends.
absl::Status ShuttingDownError();

class Engine {
 public:
  // Starts the thread. The pointers must outlive the engine.
  Engine(const EngineOptions& options, ModelRunner* runner, EngineObserver* observer, const Clock* clock);
  ~Engine();  // calls Stop()

  // A place in the queue for a request whose prompt is still being prepared. Reserving one is cheap, and it
  // is given back unless Submit uses it up. Must not outlive the engine.
  struct GivePlaceBack {
    void operator()(Engine* engine) const;
    QueuePolicy::Place place;
    std::optional<absl::Time> turn;  // when BeginPreparing was called
  };
  using Place = std::unique_ptr<Engine, GivePlaceBack>;
  // `caller`: see GenerationRequest. UNAVAILABLE, RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED, as from Submit.
  absl::StatusOr<Place> Reserve(const std::string& caller, absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);

  // Preparation of the request begins. Its waiting time so far is part of its queue time; the preparation
  // itself is not.
  void BeginPreparing(Place& place) const { place.get_deleter().turn = clock_->Now(); }
  // The request ends before its preparation has begun.
  void GiveUp(Place place);

  // Accepts a group of requests of one caller, all or none, and returns their ids in order. The sinks may be
  // called before this returns. Takes microseconds. A place guarantees room in the queue for one request.
  // Errors:
  //   UNAVAILABLE          draining, stopped or broken
  //   INVALID_ARGUMENT     the prompt is empty or leaves no room in the context for one token; or from the
  //   FAILED_PRECONDITION  intervention (Intervention::Check)
  //   RESOURCE_EXHAUSTED   the queue or the caller's share of it is full, with a retry delay (retry_delay.h);
  //                        without one, the request can never fit
  //   DEADLINE_EXCEEDED    the deadline passed, or the first token cannot meet it
  absl::StatusOr<std::vector<SequenceId>> Submit(std::vector<Submission> group, Place place = nullptr)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Ends a request with CANCELLED; no effect if it has ended.
  void Cancel(SequenceId id) ABSL_LOCKS_EXCLUDED(mu_);

  // Rejects new requests, lets accepted ones run until `deadline`, then ends the rest with UNAVAILABLE.
  // Returns true when none is left, and false if some are left `grace` after the deadline because a step
  // hangs.
  bool Drain(absl::Time deadline, absl::Duration grace = absl::InfiniteDuration()) ABSL_LOCKS_EXCLUDED(mu_);

  // After the current step, ends every request with UNAVAILABLE and stops the thread. Must not be called
  // concurrently.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  struct Health {
    bool working = false;      // there are requests
    absl::Time last_progress;  // end of the last step, or arrival of the first of these requests
    // Consecutive steps that only produced errors, even for each sequence alone; 0 after a step that produced
    // a token.
    int failed_steps = 0;
    // of the last step that failed, in whole or in part; kept after later steps succeed
    absl::Status last_error;
    absl::Status fatal;  // the reason if the engine is broken, otherwise OK
  };
  Health health() const ABSL_LOCKS_EXCLUDED(mu_);

  // The current queue, for a scrape at any time. The observer reports what is running.
  struct Load {
    // places of requests that are not submitted yet: their images and prompts are being prepared
    int reserved = 0;
    int waiting = 0;             // submitted, not yet admitted
    int64_t waiting_tokens = 0;  // of their prompts
    absl::Duration oldest;       // age of the oldest of all these; 0 if there are none
  };
  Load load() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether there are requests and no step has ended for `threshold`.
  bool stuck(absl::Duration threshold) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Accepted {
    std::unique_ptr<Sequence> sequence;
    std::shared_ptr<OutputSink> sink;
  };
  enum class State { kServing, kDraining, kStopping };

  absl::Status Validate(const GenerationRequest& request) const;
  absl::Status ValidateContrast(const Contrast& contrast) const;
  absl::Status CheckServing() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  int RoomInBatch() const;
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LeaveQueue(const EngineCore::Round& round) ABSL_LOCKS_EXCLUDED(mu_);
  void Account(const EngineCore::Round& round) ABSL_LOCKS_EXCLUDED(mu_);
  // Ends all requests, including those that the thread has taken but not started.
  void Break(const absl::Status& why, std::vector<Accepted> taken) ABSL_LOCKS_EXCLUDED(mu_);

  // Constant after construction.
  const ModelFacts& facts_;
  const int max_running_;
  const PrefixCacheScope prefix_cache_scope_;
  const Digest model_fingerprint_;
  const Clock* const clock_;
  EngineObserver* const observer_;

  // Engine thread only.
  EngineCore core_;

  mutable absl::Mutex mu_;
  absl::CondVar wake_;      // there is work for the thread
  absl::CondVar finished_;  // requests_ is 0
  State state_ ABSL_GUARDED_BY(mu_) = State::kServing;
  absl::Time drain_deadline_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  QueuePolicy queue_ ABSL_GUARDED_BY(mu_);
  SequenceId next_id_ ABSL_GUARDED_BY(mu_) = 1;
  std::vector<Accepted> inbox_ ABSL_GUARDED_BY(mu_);        // not yet taken by the thread
  std::vector<SequenceId> cancelled_ ABSL_GUARDED_BY(mu_);  // not yet taken by the thread
  int requests_ ABSL_GUARDED_BY(mu_) = 0;                   // accepted, not ended
  absl::Time last_progress_ ABSL_GUARDED_BY(mu_);
  int failed_steps_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status last_error_ ABSL_GUARDED_BY(mu_);
  absl::Status fatal_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;
};

}  // namespace varserve::engine
