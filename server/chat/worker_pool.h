// A few threads that decode images and tokenize, so that the transports' threads never block. Callers take
// turns, and of several threads no caller has all: whatever one caller sends, the others' work starts as soon
// as a thread is free. These threads have a lower priority than those that compute the model. Thread-safe.
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

  // Each caller's work starts in order of arrival. False if the pool is ending; then the work does not run.
  bool Submit(const std::string& caller, Work work) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Caller {
    std::string name;
    std::deque<Work> waiting;
    int running = 0;
  };
  using Callers = std::list<Caller>;

  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  // The caller whose turn it is; end() if no work may start.
  Callers::iterator Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool CanGoOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return Next() != callers_.end() || (stopping_ && num_waiting_ == 0);
  }

  const int max_running_per_caller_;
  absl::Mutex mu_;
  Callers callers_ ABSL_GUARDED_BY(mu_);  // callers with work, the most recent turn last
  int num_waiting_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace varserve::chat
