// Cancels calls whose reader has not taken a write for too long. Thread-safe.
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/rpc/stream_reactor.h"

namespace varserve::rpc {

class StreamWatchdog {
 public:
  explicit StreamWatchdog(absl::Duration write_timeout);
  ~StreamWatchdog();

  // Watches a call until it is gone.
  void Watch(const std::shared_ptr<StreamReactor>& stream) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  bool HasStreams() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return stopping_ || !streams_.empty(); }

  const absl::Duration write_timeout_;
  absl::Mutex mu_;
  std::vector<std::weak_ptr<StreamReactor>> streams_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace varserve::rpc
