// The engine without its thread: holds the accepted requests and works on them round by round, each round
// being admit, plan, execute, apply, observe. Calls the sinks, the runner and the observer. Engine thread
// only.
//
// A step that fails with several sequences is executed again for each of them alone; only those that fail
// alone end, with INTERNAL, or RESOURCE_EXHAUSTED if the runner says so. What a sink throws, or a result that
// memory is missing for, ends its own request. All other exceptions leave the core in a state nobody knows:
// then only Abandon may be called.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/engine/model_runner.h"
#include "server/engine/observer.h"
#include "server/engine/queue_policy.h"
#include "server/engine/request.h"
#include "server/engine/scheduler.h"

namespace varserve::engine {

class EngineCore {
 public:
  // The pointers must outlive the core.
  EngineCore(const SchedulerOptions& options, ModelRunner* runner, EngineObserver* observer,
             const Clock* clock);

  void Add(std::unique_ptr<Sequence> sequence, std::shared_ptr<OutputSink> sink);

  // What a round did.
  struct Round {
    std::vector<QueuedRequest> left_queue;  // admitted, or ended while they waited
    int ended = 0;                          // sequences
    // Whether a token came of the step, at least for one sequence, or only errors. Not set where neither did:
    // a chunk of a prompt shows nothing of the model, wrong as it may be.
    std::optional<bool> step_succeeded;
    absl::Status last_error;  // of the last step, or clearing of blocks, that failed
    absl::Status fatal;       // why nothing can run any more: the device does not work
    RoundStats stats;
  };

  // Ends a request with this status; no effect where it has ended already.
  void Fail(SequenceId id, const absl::Status& status, Round& round);
  void FailAll(const absl::Status& status, Round& round);
  // Ends requests whose deadline has passed.
  void FailExpired(Round& round);
  // Starts the requests that may run.
  void Admit(Round& round);
  // One step of all that run, if anything does.
  void Step(Round& round);
  // Ends all requests with this status, whatever has happened. To be called last, and once.
  void Abandon(const absl::Status& status);

  const Scheduler& scheduler() const { return scheduler_; }

 private:
  // Tries again as said above.
  void Execute(const StepPlan& plan, Round& round);
  absl::StatusOr<StepOutput> TimedExecute(const StepPlan& plan, Round& round);
  void Apply(const StepPlan& plan, StepOutput output, Round& round);
  void Finish(const Sequence& sequence, FinishReason reason, Round& round);
  // Ends a sequence with an error.
  void End(const Sequence& sequence, Scheduler::BlockContent content, const absl::Status& status,
           Round& round);
  // Frees what a sequence holds and hands out its sink, to be told how it ended.
  std::shared_ptr<OutputSink> Remove(const Sequence& sequence, Scheduler::BlockContent content, Round& round);
  // Makes tainted blocks usable. An error is fatal, since no request has a part in it.
  void ClearTainted(Round& round);

  ModelRunner* const runner_;
  EngineObserver* const observer_;
  const Clock* const clock_;
  Scheduler scheduler_;
  absl::flat_hash_map<SequenceId, std::shared_ptr<OutputSink>> sinks_;
};

}  // namespace varserve::engine
