#include "server/watch.h"

#include <string>
#include <utility>

#include "absl/time/time.h"
#include "server/engine/health_policy.h"
#include "server/engine/self_test.h"
#include "server/heap_trim.h"

namespace varserve {
namespace {

void LogChange(const telemetry::Metrics::Health& was, const telemetry::Metrics::Health& is,
               const absl::Status& why, telemetry::Logger& logger) {
  if (is.stuck && !was.stuck)
    logger.Error("the engine is stuck: requests are running, but no step has finished for --watchdog");
  if (is.failing && !was.failing) {
    logger.Error("the model fails, even on the server's own test question",
                 {{"error", std::string(why.message())}});
  }
  if (is.ready && !was.ready) logger.Info("ready again");
}

}  // namespace

absl::Status Watch(const ServerConfig& config, const Clock& clock, std::shared_ptr<const Prompt> question,
                   engine::Engine& engine, Termination& termination, Front& front,
                   telemetry::Logger& logger) {
  engine::HealthPolicy policy({.max_failed_steps = config.max_failed_steps, .max_failing = config.watchdog});
  engine::SelfTest self_test(&engine, std::move(question));
  HeapTrim heap_trim;
  telemetry::Metrics::Health reported{.ready = true};
  while (!termination.WaitFor(absl::Seconds(1))) {
    logger.SumUp();
    heap_trim.Look(clock.Now());
    const auto verdict = policy.Look(engine.health(), self_test.TakeOutcome(), clock.Now());
    if (verdict.end) return verdict.failing;
    if (verdict.ask) self_test.Ask();

    telemetry::Metrics::Health health{.stuck = engine.stuck(config.watchdog),
                                      .failing = !verdict.failing.ok()};
    health.ready = !health.stuck && !health.failing;
    if (health == reported) continue;
    LogChange(reported, health, verdict.failing, logger);
    front.SetHealth(health, /*live=*/!health.stuck);
    reported = health;
  }
  return absl::OkStatus();
}

}  // namespace varserve
