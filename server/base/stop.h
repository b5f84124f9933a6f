// How work that takes long learns that nobody wants its result any more. Thread-safe as far as what is asked
// is.
#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace varserve {

// Asked every few milliseconds of work: OK to go on, else why not, CANCELLED or DEADLINE_EXCEEDED. Lives as
// long as the call it is handed to.
using Stop = absl::FunctionRef<absl::Status()>;

inline absl::Status NeverStop() { return absl::OkStatus(); }

// Asks once for every so many bytes of work, so that each row may ask. Thread-compatible.
class StopWatch {
 public:
  explicit StopWatch(Stop stop) : stop_(stop) {}

  // False once the work is to end: then status() says why.
  bool GoOn(int64_t bytes) {
    work_ += bytes;
    if (work_ >= kBytesBetweenLooks && status_.ok()) {
      work_ = 0;
      status_ = stop_();
    }
    return status_.ok();
  }
  const absl::Status& status() const { return status_; }

 private:
  static constexpr int64_t kBytesBetweenLooks = 1 << 20;

  Stop stop_;
  int64_t work_ = kBytesBetweenLooks;  // the first call asks
  absl::Status status_;
};

}  // namespace varserve
