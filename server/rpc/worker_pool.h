// A few threads that decode images and tokenize, so that gRPC's threads never block. Thread-safe.
#pragma once

#include <cstdint>
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

  WorkerPool(int num_threads, int64_t max_waiting_bytes);
  ~WorkerPool();  // runs what was accepted, then ends

  // False if, with the `bytes` this work holds on to, too many would wait; then it will not run. One may
  // always wait.
  bool Submit(int64_t bytes, Work work) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  bool CanGoOn() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !waiting_.empty(); }

  struct Waiting {
    int64_t bytes;
    Work work;
  };

  const int64_t max_waiting_bytes_;
  absl::Mutex mu_;
  std::deque<Waiting> waiting_ ABSL_GUARDED_BY(mu_);
  int64_t waiting_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace varserve::rpc
