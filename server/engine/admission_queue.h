// The sequences that wait, and whose turn it is to run. Pure policy over plain data. Engine thread only.
//
// Callers take turns: next is a sequence of the caller who has the fewest running, and of several such
// callers the one whose turn was longest ago; of one caller's sequences the one that came first. Who comes
// waits for a first turn after all others.
//
// A sequence for which memory is missing lets others pass, its caller's later ones and those of other
// callers, but only so often: one that was passed kMaxPasses times is next, and holds back all callers but
// those who have fewer running than its own. So each sequence that waits is admitted: every one that runs
// ends, its caller's first, and with none running it holds back all; between two turns of a caller who has
// none running each other such caller has one. And nobody who has much running keeps out those who have
// little.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "server/engine/sequence.h"

namespace varserve::engine {

class AdmissionQueue {
  struct Caller {
    std::deque<Sequence*> waiting;
    int running = 0;
    uint64_t turn = 0;  // when it had its last, or came
    bool may_run = true;
  };

 public:
  // So many sequences may be admitted while an earlier one waits for memory.
  static constexpr int kMaxPasses = 16;
  // So many wait for memory while others pass; what comes after them is not looked at.
  static constexpr int kMaxBlocked = 4;

  // At most `max_running_per_caller` sequences of a caller run, unless the caller's name is empty; 0: no
  // limit.
  explicit AdmissionQueue(int max_running_per_caller) : max_running_per_caller_(max_running_per_caller) {}

  // To the end of its caller's line.
  void Add(Sequence* sequence);
  // A sequence ends that waits, or one that runs.
  void RemoveWaiting(Sequence* sequence);
  void RemoveRunning(const Sequence& sequence);

  // In order of arrival.
  const std::deque<Sequence*>& waiting() const { return waiting_; }
  // Of the caller of a sequence that waits or runs.
  int num_running(const Sequence& sequence) const { return callers_.at(sequence.request.caller).running; }

  // One round of admission. Each candidate is answered by one of Admit, Block and StepAside before the next
  // is asked for.
  class Round {
   public:
    explicit Round(AdmissionQueue* queue);
    // From now on in this round.
    void OnlyCallersWithNoneRunning() { running_below_ = std::min(running_below_, 1); }
    // Who is to be tried next; null where nobody else may be admitted in this round.
    Sequence* Next();
    void Admit();      // it runs from now on
    void Block();      // memory is missing
    void StepAside();  // it waits for a prefix that another sequence computes: others go first

   private:
    struct Line {
      Caller* caller = nullptr;
      size_t next = 0;  // index of the first sequence not yet tried
      int blocked = 0;  // sequences
    };
    bool MayRun(const Caller& caller) const { return caller.may_run && caller.running < running_below_; }
    Sequence* NextPassedOften();
    Sequence* NextInTurn();
    void SetAside();

    AdmissionQueue* const queue_;
    std::vector<Line> lines_;
    Line* line_ = nullptr;           // of the candidate
    Sequence* candidate_ = nullptr;  // the last one given
    std::vector<Sequence*> blocked_;
    // Callers with fewer running are not held back by one that was passed often.
    int running_below_ = std::numeric_limits<int>::max();
  };

 private:
  Caller& CallerOf(const Sequence& sequence) { return callers_.at(sequence.request.caller); }
  void SetRunning(const std::string& name, Caller& caller, int running) const;
  void DropIfIdle(const std::string& caller);

  const int max_running_per_caller_;
  std::deque<Sequence*> waiting_;
  std::map<std::string, Caller> callers_;  // those with a sequence; where they lie does not change
  uint64_t turns_ = 0;
};

}  // namespace varserve::engine
