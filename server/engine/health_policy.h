// What the engine's health means for the process: whether it takes requests, and whether it goes on at all.
// Steps may fail for what one caller sends, so several failed ones in a row only make the server ask itself a
// question (self_test.h). Where that fails, too, it takes no requests and asks again until the model answers.
// Where the model does not for long, or the engine is broken, the process is to end: whoever started it
// starts it anew. Pure policy. Thread-compatible.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/engine/engine.h"

namespace varserve::engine {

struct HealthLimits {
  int max_failed_steps = 5;                              // in a row, before the server asks itself
  absl::Duration self_test_interval = absl::Seconds(5);  // between two questions
  absl::Duration max_failing = absl::Seconds(120);       // of self-tests, then the process ends
};

class HealthPolicy {
 public:
  explicit HealthPolicy(const HealthLimits& limits) : limits_(limits) {}

  struct Verdict {
    absl::Status failing;  // not OK: takes no requests, and why
    bool ask = false;      // a self-test is due
    bool end = false;      // the process is to end for what `failing` says
  };
  // To be called about once a second, with what came of a self-test that has ended since.
  Verdict Look(const Engine::Health& health, const std::optional<absl::Status>& self_test, absl::Time now);

 private:
  const HealthLimits limits_;
  absl::Time next_self_test_ = absl::InfinitePast();
  absl::Time failing_since_ = absl::InfiniteFuture();
  absl::Status failure_;  // of the last self-test
};

}  // namespace varserve::engine
