// SIGTERM and SIGINT, taken by a thread of their own. The first one asks for a drain. Before there is
// anything to drain it ends the process at once, with exit code 0. The second one ends it at once too,
// breaking off what still runs, with 128 + its number, as a shell has it. Thread-safe.
#pragma once

#include <csignal>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace varserve {

class Termination {
 public:
  // To be called once, before any other thread is started: threads inherit that they do not get the signals.
  static std::shared_ptr<Termination> Catch();

  // From now on there is something to drain.
  void BeginServing() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits for so long, or until the first signal. True if it has come.
  bool WaitFor(absl::Duration duration) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  Termination();
  void OnSignal(int signal) ABSL_LOCKS_EXCLUDED(mu_);

  const int asked_event_;  // readable once asked_; open as long as the process runs
  absl::Mutex mu_;
  bool serving_ ABSL_GUARDED_BY(mu_) = false;
  bool asked_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace varserve
