// The waiting sequences, and the order in which they may run. Pure policy over plain data. Engine thread
// only.
//
// Callers take turns. Next is a sequence of the caller with the fewest running sequences; a tie goes to the
// caller whose last turn was longest ago. One caller's sequences go in order of arrival. A new caller has its
// first turn after all others.
//
// A sequence that has to wait for memory lets others pass, from its own and from other callers, but only
// kMaxPasses times. Then it is next, and holds back all callers except those with fewer running sequences
// than its own. So every waiting sequence is eventually admitted: running sequences end, those of its caller
// included, and with none of them running it holds back everyone; between two turns of a caller with nothing
// running, every other such caller has one. And a caller with many running sequences cannot keep out those
// with few.
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
    uint64_t turn = 0;  // time of its last turn, or of its arrival
    bool may_run = true;
  };

 public:
  // Maximum number of admissions that may pass a sequence while it waits for memory.
  static constexpr int kMaxPasses = 16;
  // Maximum number of sequences that may wait for memory while others pass; later ones are not considered.
  static constexpr int kMaxBlocked = 4;

  // A caller may have at most `max_running_per_caller` running sequences, unless its name is empty; 0 means
  // no limit.
  explicit AdmissionQueue(int max_running_per_caller) : max_running_per_caller_(max_running_per_caller) {}

  // Appends to its caller's line.
  void Add(Sequence* sequence);
  // Removes a sequence that ended while it waited, or while it ran.
  void RemoveWaiting(Sequence* sequence);
  void RemoveRunning(const Sequence& sequence);

  // In order of arrival.
  const std::deque<Sequence*>& waiting() const { return waiting_; }
  // Of the sequence's caller; the sequence waits or runs.
  int num_running(const Sequence& sequence) const { return callers_.at(sequence.request.caller).running; }

  // One round of admission. The caller must respond to each candidate with Admit, Block or StepAside before
  // it asks for the next one.
  class Round {
   public:
    explicit Round(AdmissionQueue* queue);
    // For the rest of this round.
    void OnlyCallersWithNoneRunning() { running_below_ = std::min(running_below_, 1); }
    // The next candidate; null if no other sequence may be admitted in this round.
    Sequence* Next();
    void Admit();      // the candidate is running from now on
    void Block();      // the candidate has to wait for memory
    void StepAside();  // the candidate waits for a prefix that another sequence is computing; others go first

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
    Line* line_ = nullptr;           // the candidate's
    Sequence* candidate_ = nullptr;  // the last one returned by Next
    std::vector<Sequence*> blocked_;
    // Callers with fewer running sequences are not held back by a sequence that was passed kMaxPasses times.
    int running_below_ = std::numeric_limits<int>::max();
  };

 private:
  Caller& CallerOf(const Sequence& sequence) { return callers_.at(sequence.request.caller); }
  void SetRunning(const std::string& name, Caller& caller, int running) const;
  void DropIfIdle(const std::string& caller);

  const int max_running_per_caller_;
  std::deque<Sequence*> waiting_;
  std::map<std::string, Caller> callers_;  // only callers with a sequence; addresses are stable
  uint64_t turns_ = 0;
};

}  // namespace varserve::engine
