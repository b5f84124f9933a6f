// A few threads that decode images and tokenize, so that gRPC's threads never block. Thread-safe.
#pragma once

#include <deque>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace varserve::rpc {

class WorkerPool {
 public:
  using Work = absl::AnyInvocable<void() &&>;

  explicit WorkerPool(int num_threads);
  ~WorkerPool();  // runs what was accepted, then ends

  // False if the pool is ending; then the work will not run.
  bool Submit(Work work) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  bool CanGoOn() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !waiting_.empty(); }

  absl::Mutex mu_;
  std::deque<Work> waiting_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace varserve::rpc
