// The thread that writes what others send. gRPC writes to the socket on the thread that starts a write, some
// 10 microseconds each: the engine's thread would spend a third of a millisecond of every step of 32 requests
// on that. Thread-safe.
#pragma once

#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace varserve::rpc {

class ReplyWriter {
 public:
  ReplyWriter();
  ~ReplyWriter();  // runs what was posted

  // Runs `write` on the writer's thread, after what was posted before.
  void Post(absl::AnyInvocable<void()> write) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !posted_.empty(); }

  absl::Mutex mu_;
  std::vector<absl::AnyInvocable<void()>> posted_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace varserve::rpc
