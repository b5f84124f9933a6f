#include "server/engine/engine_core.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/engine/exceptions.h"
#include "server/engine/retry_delay.h"

namespace varserve::engine {
namespace {

constexpr int kClearAttempts = 3;

// One plan per request. The steps of a request stay in order.
std::vector<StepPlan> SplitByRequest(const StepPlan& plan) {
  std::vector<StepPlan> plans;
  for (const SequenceStep& step : plan.steps) {
    if (plans.empty() || plans.back().steps.front().request_sequence() != step.request_sequence())
      plans.emplace_back();
    plans.back().steps.push_back(step);
  }
  return plans;
}

// The status that the client of a failed step receives.
absl::Status FaultOf(const absl::Status& status) {
  const std::string message =
      absl::StrCat(absl::StartsWith(status.message(), "model: ") ? "" : "model: ", status.message());
  if (!absl::IsResourceExhausted(status)) return absl::InternalError(message);
  return WithRetryDelay(absl::ResourceExhaustedError(message), kDefaultRetryDelay);
}

}  // namespace

EngineCore::EngineCore(const SchedulerOptions& options, ModelRunner* runner, EngineObserver* observer,
                       const Clock* clock)
    : runner_(runner), observer_(observer), clock_(clock), scheduler_(options, runner->facts()) {}

void EngineCore::Add(std::unique_ptr<Sequence> sequence, std::shared_ptr<OutputSink> sink) {
  const SequenceId id = sequence->id;
  scheduler_.Add(std::move(sequence));
  sinks_[id] = std::move(sink);
}

void EngineCore::Fail(SequenceId id, const absl::Status& status, Round& round) {
  if (scheduler_.Find(id) == nullptr) return;
  DeliverAll(round);  // tokens before the failure
  if (const Sequence* sequence = scheduler_.Find(id))
    End(*sequence, Scheduler::BlockContent::kValid, status, round);
}

void EngineCore::FailAll(const absl::Status& status, Round& round) {
  while (!scheduler_.waiting().empty()) Fail(scheduler_.waiting().back()->id, status, round);
  while (!scheduler_.running().empty()) Fail(scheduler_.running().back()->id, status, round);
}

void EngineCore::FailExpired(Round& round) {
  const absl::Time now = clock_->Now();
  std::vector<SequenceId> expired;
  for (const Sequence* sequence : scheduler_.waiting()) {
    if (sequence->request.deadline <= now) expired.push_back(sequence->id);
  }
  for (const Sequence* sequence : scheduler_.running()) {
    if (sequence->request.deadline <= now) expired.push_back(sequence->id);
  }
  for (const SequenceId id : expired) {
    const Sequence* sequence = scheduler_.Find(id);
    if (sequence == nullptr) continue;
    const std::string when = sequence->blocks.empty()
                                 ? "while the request waited"
                                 : absl::StrCat("after ", sequence->generated.size(), " generated tokens");
    Fail(id, absl::DeadlineExceededError(absl::StrCat("deadline: passed ", when, "; give more time")), round);
  }
}

void EngineCore::Admit(Round& round) {
  ClearTainted(round);
  const absl::Time now = clock_->Now();
  for (const Sequence* sequence : scheduler_.Admit()) {
    const absl::Duration queue_time = sequence->QueueTime(now);
    round.left_queue.push_back(sequence->queued());
    ++round.stats.admitted;
    round.stats.cached_tokens += sequence->num_cached;
    observer_->OnLeftQueue(ModeOf(sequence->request.intervention.get()), queue_time, /*admitted=*/true);
    observer_->OnPrefixLookup(sequence->prompt_size(), sequence->num_cached);
    StartedInfo info{.cached_tokens = sequence->num_cached, .queue_time = queue_time};
    if (const Sequence* sibling = sequence->sibling.get()) {
      info.sibling_cached_tokens = sibling->num_cached;
      round.stats.cached_tokens += sibling->num_cached;
      observer_->OnPrefixLookup(sibling->prompt_size(), sibling->num_cached);
    }
    const absl::Status started = CatchExceptions([&] { sinks_.at(sequence->id)->OnStarted(info); });
    if (!started.ok()) End(*sequence, Scheduler::BlockContent::kValid, started, round);
  }
}

void EngineCore::ClearTainted(Round& round) {
  if (scheduler_.tainted().empty()) return;
  absl::Status status;
  for (int attempt = 0; attempt < kClearAttempts; ++attempt) {
    status = runner_->ClearBlocks(scheduler_.tainted());
    if (status.ok()) return scheduler_.OnCleared();
  }
  round.step_succeeded = false;
  round.last_error = round.fatal = status;
}

void EngineCore::Step(Round& round) {
  for (const ImageRef& image : runner_->TakeEncoded()) scheduler_.OnEncoded(image);
  const StepPlan plan = scheduler_.Plan();
  if (!plan.steps.empty()) Execute(plan, round);
  DeliverAtOnce(round);
  const bool next_step = !plan.steps.empty() && !scheduler_.running().empty();
  if (!next_step) DeliverAll(round);
  ClearTainted(round);

  const KvBlockPool& pool = scheduler_.pool();
  EngineObserver::Load load{.running = static_cast<int>(scheduler_.running().size()),
                            .waiting = static_cast<int>(scheduler_.waiting().size()),
                            .used_blocks = pool.num_held(),
                            .cached_blocks = pool.num_cached(),
                            .total_blocks = pool.num_blocks()};
  load.siblings = scheduler_.NumRows() - load.running;
  for (const Sequence* sequence : scheduler_.waiting()) load.waiting_tokens += sequence->num_request_tokens();
  observer_->OnLoad(load);
}

void EngineCore::Execute(const StepPlan& plan, Round& round) {
  absl::StatusOr<StepOutput> output = TimedExecute(plan, round);
  if (output.ok()) return Apply(plan, *std::move(output), round);

  const std::vector<StepPlan> plans = SplitByRequest(plan);
  if (plans.size() == 1) {
    const Sequence& sequence = *scheduler_.Find(plan.steps.front().request_sequence());
    round.step_succeeded = round.step_succeeded.value_or(false);
    End(sequence, Scheduler::BlockContent::kSuspect, FaultOf(output.status()), round);
    return;
  }
  for (const StepPlan& alone : plans) {
    Execute(alone, round);
    deliveries_.DeliverAtOnce();  // ends nothing whose plan is yet to run
  }
}

absl::StatusOr<StepOutput> EngineCore::TimedExecute(const StepPlan& plan, Round& round) {
  const absl::Time begin = clock_->Now();
  absl::StatusOr<StepOutput> output = runner_->Execute(plan, [this] { deliveries_.DeliverAll(); });
  deliveries_.DeliverAll();  // of a step that failed early
  EngineObserver::Step step{.duration = clock_->Now() - begin};
  if (output.ok() && output->results.size() != plan.steps.size()) {
    output = absl::InternalError(absl::StrCat("runner returned ", output->results.size(), " results for ",
                                              plan.steps.size(), " steps"));
  }
  for (const SequenceStep& s : plan.steps) {
    const bool decode = s.begin >= s.request->prompt->size();
    (decode ? step.decode_tokens : step.prefill_tokens) += s.end - s.begin;
  }
  step.failed = !output.ok();
  if (output.ok()) {
    round.stats.prefill_tokens += step.prefill_tokens;
  } else {
    round.last_error = output.status();
  }
  round.stats.step_duration += step.duration;
  observer_->OnStep(step);
  return output;
}

void EngineCore::Apply(const StepPlan& plan, StepOutput output, Round& round) {
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    const Sequence* sequence = scheduler_.Find(plan.steps[i].request_sequence());
    // An earlier chunk of it failed, or its sibling is left over after its last token.
    if (sequence == nullptr) continue;
    absl::StatusOr<Progress> progress;
    const absl::Status applied =
        CatchExceptions([&] { progress = scheduler_.Apply(plan.steps[i], std::move(output.results[i])); });
    if (!applied.ok()) progress = applied;
    if (!progress.ok()) {
      if (applied.ok()) observer_->OnCorruptedResult();
      round.last_error = progress.status();
      round.step_succeeded = round.step_succeeded.value_or(false);
      End(*sequence, Scheduler::BlockContent::kSuspect, FaultOf(progress.status()), round);
      continue;
    }
    if (progress->token) round.step_succeeded = true;
    if (progress->finish) {
      Finish(*sequence, *progress->finish, std::move(progress->token), round);
    } else if (progress->token) {
      deliveries_.Add({.id = sequence->id,
                       .sink = sinks_.at(sequence->id),
                       .at_once = IsUrgent(*sequence),
                       .token = std::move(progress->token)});
    }
  }
}

void EngineCore::Finish(const Sequence& sequence, FinishReason reason, std::optional<Token> token,
                        Round& round) {
  Delivery delivery{.id = sequence.id, .sink = {}, .at_once = IsUrgent(sequence), .token = std::move(token)};
  Ending& end = delivery.end.emplace();
  end.reason = reason;
  if (sequence.request.intervention != nullptr) end.report = scheduler_.Report(sequence.id);
  delivery.sink = Remove(sequence, Scheduler::BlockContent::kValid, round);
  deliveries_.Add(std::move(delivery));
}

bool EngineCore::IsUrgent(const Sequence& sequence) const {
  return !runner_->facts().asynchronous || sequence.request.sink_may_stop;
}

void EngineCore::DeliverAtOnce(Round& round) {
  deliveries_.DeliverAtOnce();
  EndStopped(round);
  deliveries_.DeliverAtOnce();
}

void EngineCore::DeliverAll(Round& round) {
  deliveries_.DeliverAll();
  EndStopped(round);
  deliveries_.DeliverAll();
}

void EngineCore::EndStopped(Round& round) {
  for (const auto& [id, status] : deliveries_.TakeStopped()) {
    const Sequence* sequence = scheduler_.Find(id);
    if (sequence == nullptr) continue;
    if (status.ok()) {
      Finish(*sequence, FinishReason::kStopString, std::nullopt, round);
    } else {
      End(*sequence, Scheduler::BlockContent::kValid, status, round);
    }
  }
}

void EngineCore::End(const Sequence& sequence, Scheduler::BlockContent content, const absl::Status& status,
                     Round& round) {
  SendFailure(*Remove(sequence, content, round), status);
}

std::shared_ptr<OutputSink> EngineCore::Remove(const Sequence& sequence, Scheduler::BlockContent content,
                                               Round& round) {
  const SequenceId id = sequence.id;
  if (sequence.blocks.empty()) {
    round.left_queue.push_back(sequence.queued());
    observer_->OnLeftQueue(ModeOf(sequence.request.intervention.get()), sequence.QueueTime(clock_->Now()),
                           /*admitted=*/false);
  } else {
    runner_->Release(id);
    if (sequence.sibling != nullptr) runner_->Release(sequence.sibling->id);
  }
  ++round.ended;
  scheduler_.Remove(id, content);
  return std::move(sinks_.extract(id).mapped());
}

void EngineCore::Abandon(const absl::Status& status) {
  deliveries_.DeliverAll();
  for (const auto& [id, sink] : sinks_) SendFailure(*sink, status);
  sinks_.clear();
}

}  // namespace varserve::engine
