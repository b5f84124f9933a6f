#include "server/engine/admission_queue.h"

#include <algorithm>
#include <utility>

namespace varserve::engine {

void AdmissionQueue::Add(Sequence* sequence) {
  Caller& caller = callers_[sequence->request.caller];
  if (caller.waiting.empty()) caller.turn = ++turns_;
  caller.waiting.push_back(sequence);
  waiting_.push_back(sequence);
}

void AdmissionQueue::RemoveWaiting(Sequence* sequence) {
  std::erase(waiting_, sequence);
  std::erase(CallerOf(*sequence).waiting, sequence);
  DropIfIdle(sequence->request.caller);
}

void AdmissionQueue::RemoveRunning(const Sequence& sequence) {
  Caller& caller = CallerOf(sequence);
  SetRunning(sequence.request.caller, caller, caller.running - 1);
  DropIfIdle(sequence.request.caller);
}

void AdmissionQueue::SetRunning(const std::string& name, Caller& caller, int running) const {
  caller.running = running;
  caller.may_run = max_running_per_caller_ == 0 || name.empty() || running < max_running_per_caller_;
}

void AdmissionQueue::DropIfIdle(const std::string& caller) {
  const auto it = callers_.find(caller);
  if (it->second.waiting.empty() && it->second.running == 0) callers_.erase(it);
}

AdmissionQueue::Round::Round(AdmissionQueue* queue) : queue_(queue) {
  for (auto& [name, caller] : queue->callers_) {
    if (!caller.waiting.empty()) lines_.push_back({.caller = &caller});
  }
}

Sequence* AdmissionQueue::Round::Next() {
  line_ = nullptr;
  candidate_ = NextPassedOften();
  if (candidate_ == nullptr && static_cast<int>(blocked_.size()) < kMaxBlocked) candidate_ = NextInTurn();
  return candidate_;
}

Sequence* AdmissionQueue::Round::NextPassedOften() {
  for (Sequence* sequence : queue_->waiting_) {
    if (sequence->times_passed < kMaxPasses) continue;
    const Caller& caller = queue_->CallerOf(*sequence);
    if (!MayRun(caller)) continue;
    line_ = &*std::find_if(lines_.begin(), lines_.end(), [&](const Line& l) { return l.caller == &caller; });
    return sequence;
  }
  return nullptr;
}

Sequence* AdmissionQueue::Round::NextInTurn() {
  std::pair<int, uint64_t> best;
  for (Line& line : lines_) {
    const Caller& caller = *line.caller;
    const std::pair<int, uint64_t> place(caller.running + line.blocked, caller.turn);
    if (!MayRun(caller) || line.next >= caller.waiting.size() || (line_ != nullptr && place >= best))
      continue;
    best = place;
    line_ = &line;
  }
  return line_ == nullptr ? nullptr : line_->caller->waiting[line_->next];
}

void AdmissionQueue::Round::Admit() {
  Caller& caller = *line_->caller;
  const auto it = std::find(caller.waiting.begin(), caller.waiting.end(), candidate_);
  if (static_cast<size_t>(it - caller.waiting.begin()) < line_->next) --line_->next;
  caller.waiting.erase(it);
  std::erase(queue_->waiting_, candidate_);
  queue_->SetRunning(candidate_->request.caller, caller, caller.running + 1);
  caller.turn = ++queue_->turns_;
  for (Sequence* sequence : blocked_)
    sequence->times_passed = std::min(sequence->times_passed + 1, kMaxPasses);
}

void AdmissionQueue::Round::Block() {
  blocked_.push_back(candidate_);
  ++line_->blocked;
  SetAside();
}

void AdmissionQueue::Round::StepAside() { SetAside(); }

void AdmissionQueue::Round::SetAside() {
  ++line_->next;
  // Its own caller is held back, so the loop does not return to the same sequence.
  if (candidate_->times_passed >= kMaxPasses)
    running_below_ = std::min(running_below_, line_->caller->running);
}

}  // namespace varserve::engine
