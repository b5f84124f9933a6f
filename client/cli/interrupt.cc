#include "client/cli/interrupt.h"

#include <pthread.h>
#include <signal.h>

#include <cstdlib>

#include "client/cli/exit_code.h"

namespace varserve::cli {
namespace {

constexpr int kEnd = SIGUSR1;  // from the destructor

}  // namespace

Interrupt::Interrupt(client::Cancellation* cancellation) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, kEnd}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  thread_ = std::thread([signals, cancellation] {
    int signal = 0;
    while (sigwait(&signals, &signal) == 0 && signal != kEnd) {
      if (cancellation->cancelled()) std::_Exit(kExitInterrupted);
      cancellation->Cancel();
    }
  });
}

Interrupt::~Interrupt() {
  pthread_kill(thread_.native_handle(), kEnd);
  thread_.join();
}

}  // namespace varserve::cli
