#include "server/engine/health_policy.h"

#include <algorithm>

namespace varserve::engine {

HealthPolicy::Verdict HealthPolicy::Look(const Engine::Health& health,
                                         const std::optional<absl::Status>& self_test, absl::Time now) {
  if (!health.fatal.ok()) return {.failing = health.fatal, .ask = false, .end = true};
  if (self_test.has_value() && !self_test->ok()) {
    failure_ = *self_test;
    failing_since_ = std::min(failing_since_, now);
  }
  if (health.failed_steps == 0) {  // the last step succeeded
    failure_ = absl::OkStatus();
    failing_since_ = absl::InfiniteFuture();
  }
  Verdict verdict{.failing = failure_};
  verdict.end = now - failing_since_ >= limits_.max_failing;
  verdict.ask = (!failure_.ok() || health.failed_steps >= limits_.max_failed_steps) && now >= next_self_test_;
  if (verdict.ask) next_self_test_ = now + limits_.self_test_interval;
  return verdict;
}

}  // namespace varserve::engine
