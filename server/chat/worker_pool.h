// A few threads that decode images and tokenize, so that the transports' threads never block. Callers take
// turns, and where there are several threads, none has all of them: whatever one sends, the others' work
// begins once the piece before it is done. What computes the model goes first where there are fewer
// processors than threads. Thread-safe.
#pragma once

#include <deque>
#include <list>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace varserve::chat {

class WorkerPool {
 public:
  using Work = absl::AnyInvocable<void() &&>;

  explicit WorkerPool(int num_threads);
  ~WorkerPool();  // runs what was accepted, then ends

  // Each caller's work begins in the order it came. False if the pool is ending; then the work will not run.
  bool Submit(const std::string& caller, Work work) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Caller {
    std::string name;
    std::deque<Work> waiting;
    int running = 0;
  };
  using Callers = std::list<Caller>;

  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  // Whose turn it is; the end if nobody's work may begin.
  Callers::iterator Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool CanGoOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return Next() != callers_.end() || (stopping_ && num_waiting_ == 0);
  }

  const int max_running_per_caller_;
  absl::Mutex mu_;
  Callers callers_ ABSL_GUARDED_BY(mu_);  // those with work, who had a turn last at the end
  int num_waiting_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace varserve::chat
