// The continuous-batching engine: a thread-safe front, and the one thread that runs steps while there are
// requests. Thread-safe, but Drain and Stop must not be called from an OutputSink.
//
// A request is accepted or refused by Submit, at once. From then on its sink hears of it, on the engine's
// thread, until it ends. Cancellation, deadlines and the drain are seen between two steps, wherever the
// request is.
//
// Where the device does not work any more, or an exception reaches the engine's thread that is no request's
// own, the engine breaks: every request ends with UNAVAILABLE, new ones are refused, and health() says why.
// The process is to end then.
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

// Who finds what a request left in the prefix cache. With kCaller nothing a caller is told or can measure
// depends on the prompts of others.
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

class Engine {
 public:
  // Starts the thread. The pointers must outlive the engine.
  Engine(const EngineOptions& options, ModelRunner* runner, EngineObserver* observer, const Clock* clock);
  ~Engine();  // Stop()

  // A place in the queue for a request whose prompt is still being made: costs nothing to ask for, and is
  // given back unless Submit uses it up. Not to be kept beyond the engine's life.
  struct GivePlaceBack {
    void operator()(Engine* engine) const;
    QueuePolicy::Place place;
    std::optional<absl::Time> turn;  // when BeginPreparing was called
  };
  using Place = std::unique_ptr<Engine, GivePlaceBack>;
  // `caller` as in GenerationRequest. UNAVAILABLE, RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED, as Submit would.
  absl::StatusOr<Place> Reserve(const std::string& caller, absl::Time deadline) ABSL_LOCKS_EXCLUDED(mu_);

  // The request's turn to be prepared has come. So far it waited, and that is part of its queue time; what
  // making its prompt takes is not.
  void BeginPreparing(Place& place) const { place.get_deleter().turn = clock_->Now(); }
  // The request ends before its turn has come.
  void GiveUp(Place place);

  // Accepts a group of requests of one caller, all or none, and returns their ids in order; the sinks may be
  // called before this returns. Takes microseconds. With a place the queue has room for one of them. Refuses
  // with
  //   UNAVAILABLE          draining, stopped or broken
  //   INVALID_ARGUMENT     no prompt, no room in the context for one token after it, or what the
  //   FAILED_PRECONDITION  intervention says (Intervention::Check)
  //   RESOURCE_EXHAUSTED   the queue, or the caller's part of it, is full, with a retry delay
  //   (retry_delay.h);
  //                        or, without one, never fits
  //   DEADLINE_EXCEEDED    passed, or out of reach for the first token
  absl::StatusOr<std::vector<SequenceId>> Submit(std::vector<Submission> group, Place place = nullptr)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Ends a request with CANCELLED; no effect where it has ended.
  void Cancel(SequenceId id) ABSL_LOCKS_EXCLUDED(mu_);

  // Refuses new requests, lets the accepted ones go on until `deadline`, then ends the rest with UNAVAILABLE.
  // True when none is left; false if that is not so by `grace` after the deadline, because a step hangs.
  bool Drain(absl::Time deadline, absl::Duration grace = absl::InfiniteDuration()) ABSL_LOCKS_EXCLUDED(mu_);

  // Ends every request with UNAVAILABLE after the step that runs, and the thread. Not to be called twice at a
  // time.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  struct Health {
    bool working = false;      // there are requests
    absl::Time last_progress;  // when a step ended last, or the first of these requests came
    // Steps in a row of which only errors came, also from each sequence alone; 0 after one that gave a token.
    int failed_steps = 0;
    absl::Status last_error;  // of the last step that failed, in whole or in part; stays after others succeed
    absl::Status fatal;       // not OK: why the engine is broken
  };
  Health health() const ABSL_LOCKS_EXCLUDED(mu_);

  // The queue as it is now, for a scrape at any time; what runs, the observer hears of.
  struct Load {
    int reserved = 0;  // places of requests that are not submitted yet: their pictures and prompts are made
    int waiting = 0;   // submitted, not admitted
    int64_t waiting_tokens = 0;  // of their prompts
    absl::Duration oldest;       // since the oldest of all these came; 0 where there is none
  };
  Load load() const ABSL_LOCKS_EXCLUDED(mu_);
  // There are requests, and no step has ended for so long.
  bool stuck(absl::Duration threshold) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Accepted {
    std::unique_ptr<Sequence> sequence;
    std::shared_ptr<OutputSink> sink;
  };
  enum class State { kServing, kDraining, kStopping };

  absl::Status Validate(const GenerationRequest& request) const;
  absl::Status CheckServing() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  int RoomInBatch() const;
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void LeaveQueue(const EngineCore::Round& round) ABSL_LOCKS_EXCLUDED(mu_);
  void Account(const EngineCore::Round& round) ABSL_LOCKS_EXCLUDED(mu_);
  // Ends all requests, among them those that the thread has taken but not begun with.
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
  absl::CondVar finished_;  // requests_ became 0
  State state_ ABSL_GUARDED_BY(mu_) = State::kServing;
  absl::Time drain_deadline_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  QueuePolicy queue_ ABSL_GUARDED_BY(mu_);
  SequenceId next_id_ ABSL_GUARDED_BY(mu_) = 1;
  std::vector<Accepted> inbox_ ABSL_GUARDED_BY(mu_);        // not yet seen by the thread
  std::vector<SequenceId> cancelled_ ABSL_GUARDED_BY(mu_);  // not yet seen by the thread
  int requests_ ABSL_GUARDED_BY(mu_) = 0;                   // accepted and not ended
  absl::Time last_progress_ ABSL_GUARDED_BY(mu_);
  int failed_steps_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status last_error_ ABSL_GUARDED_BY(mu_);
  absl::Status fatal_ ABSL_GUARDED_BY(mu_);

  std::thread thread_;
};

}  // namespace varserve::engine
