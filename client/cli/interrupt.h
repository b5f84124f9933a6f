// Ctrl-C and SIGTERM while a call runs: the first cancels it, the second ends the process. Must be made
// before the first other thread, since these inherit which signals are blocked.
#pragma once

#include <thread>

#include "client/cancellation.h"

namespace varserve::cli {

class Interrupt {
 public:
  // `cancellation` must outlive it.
  explicit Interrupt(client::Cancellation* cancellation);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

 private:
  std::thread thread_;
};

}  // namespace varserve::cli
