// The engine without its thread. Holds the accepted requests and works in rounds: admit, plan, execute,
// apply, observe. Calls the sinks, the runner and the observer. Engine thread only.
//
// If the runner's steps are asynchronous, sinks get a step's tokens while the next step runs (deliveries.h).
//
// If a step of several requests fails, it is executed again for each request alone. Only requests that fail
// alone end, with INTERNAL, or RESOURCE_EXHAUSTED if the runner returns that. An exception from a sink,
// or a lack of memory for a result, ends only that request. After any other exception the core's state is
// undefined, and only Abandon may be called.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/engine/deliveries.h"
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

  // What happened in a round.
  struct Round {
    std::vector<QueuedRequest> left_queue;  // admitted, or ended while waiting
    int ended = 0;                          // sequences
    // true if the step produced a token for at least one sequence, false if it produced only errors. Not set
    // otherwise: a prefill chunk says nothing about whether the model works.
    std::optional<bool> step_succeeded;
    absl::Status last_error;  // of the last step, or clearing of blocks, that failed
    absl::Status fatal;       // why nothing can run any more: the device does not work
    RoundStats stats;
  };

  // Ends a request with this status; no effect if it has ended.
  void Fail(SequenceId id, const absl::Status& status, Round& round);
  void FailAll(const absl::Status& status, Round& round);
  // Ends requests whose deadline has passed.
  void FailExpired(Round& round);
  // Admits the requests that may run.
  void Admit(Round& round);
  // Runs one step of everything that is running, if anything is.
  void Step(Round& round);
  // Ends all requests with this status, whatever state the core is in. Must be the last call.
  void Abandon(const absl::Status& status);

  const Scheduler& scheduler() const { return scheduler_; }

 private:
  // Executes again as described above.
  void Execute(const StepPlan& plan, Round& round);
  absl::StatusOr<StepOutput> TimedExecute(const StepPlan& plan, Round& round);
  void Apply(const StepPlan& plan, StepOutput output, Round& round);
  // Removes a sequence that is complete, after this token.
  void Finish(const Sequence& sequence, FinishReason reason, std::optional<Token> token, Round& round);
  // Whether its sink must hear of the step before the next one.
  bool IsUrgent(const Sequence& sequence) const;
  // Passes on what must not wait for the next step, or everything.
  void DeliverAtOnce(Round& round);
  void DeliverAll(Round& round);
  void EndStopped(Round& round);
  // Ends a sequence with an error.
  void End(const Sequence& sequence, Scheduler::BlockContent content, const absl::Status& status,
           Round& round);
  // Frees what a sequence holds and returns its sink, which must then be notified of the end.
  std::shared_ptr<OutputSink> Remove(const Sequence& sequence, Scheduler::BlockContent content, Round& round);
  // Makes tainted blocks usable. An error is fatal, because it belongs to no request.
  void ClearTainted(Round& round);

  ModelRunner* const runner_;
  EngineObserver* const observer_;
  const Clock* const clock_;
  Scheduler scheduler_;
  Deliveries deliveries_;
  absl::flat_hash_map<SequenceId, std::shared_ptr<OutputSink>> sinks_;
};

}  // namespace varserve::engine
