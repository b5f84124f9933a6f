// Lets long work find out that its result is no longer needed. Thread-safe as far as the callback is.
#pragma once

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace varserve {

// Called every few milliseconds of work. OK means continue; CANCELLED or DEADLINE_EXCEEDED means stop. Valid
// for the duration of the call it is passed to.
using Stop = absl::FunctionRef<absl::Status()>;

inline absl::Status NeverStop() { return absl::OkStatus(); }

// Calls `stop` only once per kBytesBetweenLooks bytes of work, so that each row may ask. Thread-compatible.
class StopWatch {
 public:
  explicit StopWatch(Stop stop) : stop_(stop) {}

  // False once the work must end; status() then gives the reason.
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
  int64_t work_ = kBytesBetweenLooks;  // the first call asks immediately
  absl::Status status_;
};

}  // namespace varserve
