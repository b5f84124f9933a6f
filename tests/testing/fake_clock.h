// A clock that tests set. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"
#include "server/base/clock.h"

namespace varserve::testing {

class FakeClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixNanos(nanoseconds_.load()); }
  void Advance(absl::Duration duration) { nanoseconds_ += absl::ToInt64Nanoseconds(duration); }

 private:
  std::atomic<int64_t> nanoseconds_ = 1'000'000'000'000'000'000;
};

}  // namespace varserve::testing
