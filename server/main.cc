// varserve-server: starts listening at once (live, not ready), loads the model, serves, drains on SIGTERM.
#include <google/protobuf/stubs/logging.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/config.h"
#include "server/front.h"
#include "server/passive_openmp.h"
#include "server/serving.h"
#include "server/telemetry/logging.h"
#include "server/telemetry/metrics.h"
#include "server/termination.h"
#include "server/version.h"

namespace varserve {
namespace {

// For calls to end with their status once the drain is over, and after a start that failed.
constexpr absl::Duration kCancelGrace = absl::Seconds(5);
constexpr absl::Duration kFailedStartGrace = absl::Seconds(1);
// For the last lines of the log, if nobody reads it.
constexpr absl::Duration kLastWords = absl::Seconds(2);

// Tells health and metrics how the engine is, until a signal comes.
void Watch(const engine::Engine& engine, absl::Duration watchdog, Termination& termination, Front& front,
           telemetry::Logger& logger) {
  bool healthy = true;
  while (!termination.WaitFor(absl::Seconds(1))) {
    logger.SumUp();
    const bool stuck = engine.stuck(watchdog);
    if (healthy == !stuck) continue;
    healthy = !stuck;
    if (stuck) logger.Error("the engine is stuck: there is work, but no step ends");
    front.SetHealth(/*live=*/healthy, /*ready=*/healthy, stuck);
  }
}

// The process's exit code. What goes wrong is in the log before anything else is done about it.
int Run(const ServerConfig& config, Termination& termination, telemetry::Logger& logger) {
  const MonotonicClock clock;
  telemetry::Metrics metrics(config.model_name, kVersion);
  std::unique_ptr<Serving> serving;  // before the front, whose workers use it to their end
  const absl::StatusOr<std::unique_ptr<Front>> started = Front::Start(config, &clock, &metrics, &logger);
  if (!started.ok()) {
    logger.Error(started.status().message());
    return 1;
  }
  Front& front = **started;

  absl::StatusOr<std::unique_ptr<Serving>> loaded = Serving::Load(config, &clock, &metrics, &logger);
  termination.BeginServing();  // a signal from now on does not change how it ends
  if (!loaded.ok()) {
    logger.Error(loaded.status().message());
    front.SetHealth(/*live=*/false, /*ready=*/false);
    front.Refuse("the server could not start");
    front.Shutdown(kFailedStartGrace);
    return 1;
  }
  serving = *std::move(loaded);
  engine::Engine& engine = serving->engine();
  front.Serve(*serving);
  logger.Info("ready");
  Watch(engine, config.watchdog, termination, front, logger);

  logger.Info("draining", {{"seconds", absl::ToDoubleSeconds(config.drain)}});
  front.SetHealth(/*live=*/true, /*ready=*/false);
  front.Refuse("the server is draining; try another replica");
  const bool drained = engine.Drain(clock.Now() + config.drain, kCancelGrace);
  front.Shutdown(kCancelGrace);
  if (!drained) {
    logger.Error("stopped while a step hangs");
    logger.Flush(kLastWords);
    std::_Exit(1);  // the engine's thread cannot be ended
  }
  logger.Info("stopped");
  return 0;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "varserve-server: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace varserve

int main(int argc, char** argv) {
  varserve::UsePassiveOpenMp(argv);
  google::protobuf::SetLogHandler(nullptr);  // what is wrong with a message its sender is told
  std::signal(SIGPIPE, SIG_IGN);             // a reader of the log that goes away is no reason to end
  const std::shared_ptr<varserve::Termination> termination = varserve::Termination::Catch();
  const absl::StatusOr<varserve::ServerConfig> config = varserve::ReadCommandLine(argc, argv);
  if (!config.ok()) return varserve::Fail(config.status());
  const auto logger = varserve::telemetry::Logger::Create(config->log_format, config->log_level);
  if (!logger.ok()) return varserve::Fail(logger.status());
  const int code = varserve::Run(*config, *termination, **logger);
  // Beyond this the logger's thread may wait for whoever does not read standard error.
  if (!(*logger)->Flush(varserve::kLastWords)) std::_Exit(code);
  return code;
}
