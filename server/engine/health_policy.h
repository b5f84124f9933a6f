// What the engine's health means for the process: whether it accepts requests, and whether it continues at
// all. Steps can fail because of one caller's input, so several consecutive failures only make the server run
// a self-test (self_test.h). If that fails too, the server accepts no requests and repeats the self-test
// until the model answers. If the model does not recover in time, or the engine is broken, the process should
// exit and be restarted. Pure policy. Thread-compatible.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/engine/engine.h"

namespace varserve::engine {

struct HealthLimits {
  int max_failed_steps = 5;                              // consecutive failures before a self-test
  absl::Duration self_test_interval = absl::Seconds(5);  // between two self-tests
  // time of failing self-tests after which the process exits
  absl::Duration max_failing = absl::Seconds(120);
};

class HealthPolicy {
 public:
  explicit HealthPolicy(const HealthLimits& limits) : limits_(limits) {}

  struct Verdict {
    absl::Status failing;  // not OK: the server accepts no requests for this reason
    bool ask = false;      // a self-test is due
    bool end = false;      // the process should exit, because of `failing`
  };
  // Call about once a second, with the outcome of a self-test that has ended since the last call.
  Verdict Look(const Engine::Health& health, const std::optional<absl::Status>& self_test, absl::Time now);

 private:
  const HealthLimits limits_;
  absl::Time next_self_test_ = absl::InfinitePast();
  absl::Time failing_since_ = absl::InfiniteFuture();
  absl::Status failure_;  // of the last self-test
};

}  // namespace varserve::engine
