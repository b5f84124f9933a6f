#include "server/termination.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <cstdlib>
#include <thread>

namespace varserve {

Termination::Termination() : asked_event_(eventfd(0, EFD_CLOEXEC)) {}

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
  // Not a timed wait on the mutex: its timeout follows the wall clock.
  pollfd signalled{.fd = asked_event_, .events = POLLIN, .revents = 0};
  poll(&signalled, 1, static_cast<int>(absl::ToInt64Milliseconds(duration)));
  absl::MutexLock lock(&mu_);
  return asked_;
}

void Termination::OnSignal(int signal) {
  absl::MutexLock lock(&mu_);
  if (!serving_) std::_Exit(0);
  if (asked_) std::_Exit(128 + signal);
  asked_ = true;
  eventfd_write(asked_event_, 1);
}

}  // namespace varserve
