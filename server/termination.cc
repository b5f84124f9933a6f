#include "server/termination.h"

#include <pthread.h>

#include <cstdlib>
#include <thread>

#include "absl/time/clock.h"

namespace varserve {

std::shared_ptr<Termination> Termination::Catch() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::shared_ptr<Termination> termination(new Termination());
  std::thread([termination, signals] {
    for (int signal = 0; sigwait(&signals, &signal) == 0;) termination->OnSignal(signal);
  }).detach();
  return termination;
}

void Termination::BeginServing() {
  absl::MutexLock lock(&mu_);
  serving_ = true;
}

bool Termination::WaitFor(absl::Duration duration) {
  const absl::Time end = absl::Now() + duration;
  absl::MutexLock lock(&mu_);
  while (!asked_ && !changed_.WaitWithDeadline(&mu_, end)) {
  }
  return asked_;
}

void Termination::OnSignal(int signal) {
  absl::MutexLock lock(&mu_);
  if (!serving_) std::_Exit(0);
  if (asked_) std::_Exit(128 + signal);
  asked_ = true;
  changed_.SignalAll();
}

}  // namespace varserve
