#include "server/engine/engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status_macros.h"
#include "server/engine/block_key.h"
#include "server/engine/exceptions.h"

namespace varserve::engine {
namespace {

absl::Status BrokenError(const absl::Status& why) {
  return absl::UnavailableError(
      absl::StrCat("server: cannot continue (", why.message(), "); try again later, or ask another replica"));
}

}  // namespace

absl::Status ShuttingDownError() {
  return absl::UnavailableError("server: is shutting down; try again later, or ask another replica");
}

Engine::Engine(const EngineOptions& options, ModelRunner* runner, EngineObserver* observer,
               const Clock* clock)
    : facts_(runner->facts()),
      max_running_(options.scheduler.max_running),
      prefix_cache_scope_(options.prefix_cache_scope),
      model_fingerprint_(options.model_fingerprint),
      clock_(clock),
      observer_(observer),
      core_(options.scheduler, runner, observer, clock),
      queue_(options.queue),
      last_progress_(clock->Now()) {
  queue_.SetRoom(max_running_);
  thread_ = std::thread([this] { Run(); });
}

Engine::~Engine() { Stop(); }

absl::Status Engine::Validate(const GenerationRequest& request) const {
  if (request.prompt == nullptr || request.prompt->size() == 0) {
    return absl::InvalidArgumentError("prompt: has no tokens; send at least one");
  }
  if (request.prompt->size() >= facts_.context) {
    return absl::InvalidArgumentError(
        absl::StrCat("prompt: has ", request.prompt->size(),
                     " tokens, which leave no room for an answer in the context of ", facts_.context,
                     "; send less text or fewer images"));
  }
  if (request.sampling.max_tokens < 1) {
    return absl::InvalidArgumentError("max_tokens: is less than 1; ask for at least one token");
  }
  if (request.contrast != nullptr) RETURN_IF_ERROR(ValidateContrast(*request.contrast));
  if (request.intervention == nullptr) return absl::OkStatus();
  return request.intervention->Check(facts_.num_layers, facts_.token_measures);
}

absl::Status Engine::ValidateContrast(const Contrast& contrast) const {
  if (contrast.prompt->size() == 0 || contrast.prompt->size() >= facts_.context) {
    return absl::InvalidArgumentError(
        absl::StrCat("intervention: the sibling's prompt has ", contrast.prompt->size(),
                     " tokens, which leave no room for an answer in the context of ", facts_.context,
                     "; send less text or another intervention"));
  }
  if (max_running_ >= 2) return absl::OkStatus();
  return absl::FailedPreconditionError(
      "intervention: a contrast runs two sequences, the server's --max_running allows one");
}

absl::Status Engine::CheckServing() const {
  if (!fatal_.ok()) return BrokenError(fatal_);
  if (state_ == State::kServing) return absl::OkStatus();
  return ShuttingDownError();
}

void Engine::GivePlaceBack::operator()(Engine* engine) const {
  absl::MutexLock lock(&engine->mu_);
  engine->queue_.GiveBack(place);
}

void Engine::GiveUp(Place place) {
  const absl::Duration waited = clock_->Now() - place.get_deleter().place.arrival;
  observer_->OnLeftQueue(interventions::Mode::kOff, waited, /*admitted=*/false);
}

absl::StatusOr<Engine::Place> Engine::Reserve(const std::string& caller, absl::Time deadline) {
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(CheckServing());
  ASSIGN_OR_RETURN(QueuePolicy::Place place, queue_.Reserve(caller, deadline, clock_->Now()));
  return Place(this, GivePlaceBack{.place = std::move(place)});
}

absl::StatusOr<std::vector<SequenceId>> Engine::Submit(std::vector<Submission> group, Place place) {
  if (group.empty()) return std::vector<SequenceId>();
  const absl::Time now = clock_->Now();
  const Digest root = prefix_cache_scope_ == PrefixCacheScope::kShared
                          ? model_fingerprint_
                          : CallerRoot(model_fingerprint_, group.front().request.caller);
  absl::Duration waited;  // for preparation
  if (place != nullptr) waited = place.get_deleter().turn.value_or(now) - place.get_deleter().place.arrival;
  std::vector<Accepted> accepted;
  std::vector<QueuedRequest> queued;
  absl::Time deadline = absl::InfiniteFuture();
  for (Submission& submission : group) {
    RETURN_IF_ERROR(Validate(submission.request));
    deadline = std::min(deadline, submission.request.deadline);
    auto sequence = std::make_unique<Sequence>(std::move(submission.request), facts_, root);
    sequence->arrival = now;
    sequence->waited = waited;
    if (sequence->num_request_blocks() > facts_.num_kv_blocks) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "max_tokens: prompt and answer", sequence->sibling != nullptr ? ", with a sibling," : "", " take ",
          sequence->num_request_blocks(), " KV blocks of ", facts_.block_size, " tokens, the server has ",
          facts_.num_kv_blocks, "; ask for fewer tokens"));
    }
    queued.push_back(sequence->queued());
    accepted.push_back({.sequence = std::move(sequence), .sink = std::move(submission.sink)});
  }
  std::vector<SequenceId> ids;
  absl::MutexLock lock(&mu_);
  RETURN_IF_ERROR(CheckServing());
  RETURN_IF_ERROR(
      queue_.Enter(queued, deadline, now, place == nullptr ? nullptr : &place.get_deleter().place));
  (void)place.release();  // Submit used it up
  if (requests_ == 0) last_progress_ = now;
  requests_ += static_cast<int>(accepted.size());
  for (Accepted& a : accepted) {
    a.sequence->SetIds(next_id_, next_id_ + 1);
    next_id_ += a.sequence->num_rows();
    ids.push_back(a.sequence->id);
    inbox_.push_back(std::move(a));
  }
  wake_.Signal();
  return ids;
}

void Engine::Cancel(SequenceId id) {
  absl::MutexLock lock(&mu_);
  if (requests_ == 0) return;  // otherwise the thread is already awake
  cancelled_.push_back(id);
}

bool Engine::Drain(absl::Time deadline, absl::Duration grace) {
  absl::MutexLock lock(&mu_);
  state_ = std::max(state_, State::kDraining);
  drain_deadline_ = std::min(drain_deadline_, deadline);
  const absl::Time give_up = absl::Now() + (deadline - clock_->Now()) + grace;
  while (requests_ > 0) {
    if (finished_.WaitWithDeadline(&mu_, give_up) && requests_ > 0) return false;
  }
  return true;
}

void Engine::Stop() {
  {
    absl::MutexLock lock(&mu_);
    state_ = State::kStopping;
    wake_.Signal();
  }
  if (thread_.joinable()) thread_.join();
}

Engine::Health Engine::health() const {
  absl::MutexLock lock(&mu_);
  return {.working = requests_ > 0,
          .last_progress = last_progress_,
          .failed_steps = failed_steps_,
          .last_error = last_error_,
          .fatal = fatal_};
}

Engine::Load Engine::load() const {
  absl::MutexLock lock(&mu_);
  const std::optional<absl::Time> oldest = queue_.oldest_arrival();
  return {.reserved = queue_.reserved(),
          .waiting = queue_.waiting(),
          .waiting_tokens = queue_.waiting_tokens(),
          .oldest = oldest ? clock_->Now() - *oldest : absl::ZeroDuration()};
}

bool Engine::stuck(absl::Duration threshold) const {
  const Health now = health();
  return now.working && clock_->Now() - now.last_progress >= threshold;
}

bool Engine::HasWork() const { return requests_ > 0 || state_ == State::kStopping; }

void Engine::Run() {
  for (bool stopping = false; !stopping;) {
    std::vector<Accepted> inbox;
    std::vector<SequenceId> cancelled;
    absl::Time end;
    {
      absl::MutexLock lock(&mu_);
      while (!HasWork()) wake_.Wait(&mu_);
      inbox.swap(inbox_);
      cancelled.swap(cancelled_);
      stopping = state_ == State::kStopping;
      end = stopping ? absl::InfinitePast() : drain_deadline_;
    }
    EngineCore::Round round;
    const absl::Status done = CatchExceptions([&] {
      for (; !inbox.empty(); inbox.erase(inbox.begin()))
        core_.Add(std::move(inbox.front().sequence), inbox.front().sink);
      for (const SequenceId id : cancelled)
        core_.Fail(id, absl::CancelledError("request: was cancelled"), round);
      core_.FailExpired(round);
      if (end <= clock_->Now()) {
        core_.FailAll(ShuttingDownError(), round);
      }
      core_.Admit(round);
      LeaveQueue(round);
      core_.Step(round);
      Account(round);
    });
    if (!done.ok()) return Break(done, std::move(inbox));
    if (!round.fatal.ok()) return Break(round.fatal, {});
  }
}

void Engine::Break(const absl::Status& why, std::vector<Accepted> taken) {
  std::vector<Accepted> inbox;
  {
    absl::MutexLock lock(&mu_);
    fatal_ = why;
    inbox.swap(inbox_);
  }
  const absl::Status status = BrokenError(why);
  core_.Abandon(status);
  for (std::vector<Accepted>* requests : {&taken, &inbox}) {
    for (const Accepted& request : *requests) SendFailure(*request.sink, status);
  }
  absl::MutexLock lock(&mu_);
  requests_ = 0;
  finished_.SignalAll();
}

int Engine::RoomInBatch() const {
  const Scheduler& scheduler = core_.scheduler();
  const int room = max_running_ - scheduler.NumRows();
  return scheduler.waiting().empty() ? std::max(room, 0) : 0;
}

void Engine::LeaveQueue(const EngineCore::Round& round) {
  absl::MutexLock lock(&mu_);
  for (const QueuedRequest& request : round.left_queue) queue_.Leave(request);
  queue_.SetRoom(RoomInBatch());
}

void Engine::Account(const EngineCore::Round& round) {
  absl::MutexLock lock(&mu_);
  queue_.OnRound(round.stats);
  queue_.SetRoom(RoomInBatch());
  requests_ -= round.ended;
  if (round.step_succeeded) failed_steps_ = *round.step_succeeded ? 0 : failed_steps_ + 1;
  if (!round.last_error.ok()) last_error_ = round.last_error;
  fatal_ = round.fatal;  // before anyone sees that no request is left
  last_progress_ = clock_->Now();
  if (requests_ == 0) finished_.SignalAll();
}

}  // namespace varserve::engine
