// varserve-server: starts listening at once (live, not ready), loads the model, serves, drains on SIGTERM.
#include <google/protobuf/stubs/logging.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "server/backend/gpu_settings.h"
#include "server/base/byte_budget.h"
#include "server/base/clock.h"
#include "server/config.h"
#include "server/front.h"
#include "server/grpc/grpc_log.h"
#include "server/heap_trim.h"
#include "server/interventions/table/table.h"
#include "server/passive_openmp.h"
#include "server/serving.h"
#include "server/telemetry/logging.h"
#include "server/telemetry/metrics.h"
#include "server/termination.h"
#include "server/version.h"
#include "server/watch.h"

namespace varserve {
namespace {

// For calls to end with their status once the drain is over, and after a start that failed.
constexpr absl::Duration kCancelGrace = absl::Seconds(5);
constexpr absl::Duration kFailedStartGrace = absl::Seconds(1);
// For the last lines of the log, if nobody reads it.
constexpr absl::Duration kLastWords = absl::Seconds(2);

// First logs why the process cannot continue.
void GiveUp(const absl::Status& why, bool failing, Front& front, telemetry::Logger& logger) {
  logger.Error(why.message());
  front.SetHealth({.failing = failing}, /*live=*/false);
  front.Refuse("the server cannot serve and is shutting down; its log says why");
}

// The process's exit code.
int Run(const ServerConfig& config, Termination& termination, telemetry::Logger& logger) {
  const MonotonicClock clock;
  telemetry::Metrics metrics(config.model_name, kVersion, interventions::ReportMetricsMakers());
  ByteBudget image_memory(config.image_memory);  // before all that holds pictures
  std::unique_ptr<Serving> serving;              // before the front, whose workers use it to their end
  const absl::StatusOr<std::unique_ptr<Front>> started =
      Front::Start(config, &image_memory, &clock, &metrics, &logger);
  if (!started.ok()) {
    logger.Error(started.status().message());
    return 1;
  }
  Front& front = **started;

  absl::StatusOr<std::unique_ptr<Serving>> loaded = Serving::Load(config, &clock, &metrics, &logger);
  termination.BeginServing();  // a signal from now on does not change how it ends
  if (!loaded.ok()) {
    GiveUp(loaded.status(), /*failing=*/false, front, logger);
    front.Shutdown(kFailedStartGrace);
    return 1;
  }
  serving = *std::move(loaded);
  front.Serve(*serving);
  logger.Info("ready");
  engine::Engine& engine = serving->engine();
  const absl::Status why =
      Watch(config, clock, serving->self_test_question(), engine, termination, front, logger);

  if (why.ok()) {
    logger.Info("draining: running requests may finish; a second signal stops the server at once",
                {{"seconds", absl::ToDoubleSeconds(config.drain)}});
    front.SetHealth({}, /*live=*/true);
    front.Refuse("the server is draining and takes no new requests; try again later, or ask another replica");
  } else {
    GiveUp(why, /*failing=*/true, front, logger);
  }
  const absl::Duration patience = why.ok() ? config.drain : absl::ZeroDuration();
  const bool drained = engine.Drain(clock.Now() + patience, kCancelGrace);
  front.Shutdown(kCancelGrace);
  if (!drained) {
    logger.Error("stopped while a step hangs");
    logger.Flush(kLastWords);
    std::_Exit(1);  // the engine's thread cannot be ended
  }
  logger.Info("stopped");
  return why.ok() ? 0 : 1;
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "varserve-server: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace
}  // namespace varserve

int main(int argc, char** argv) {
  varserve::UsePassiveOpenMp(argv);
  varserve::backend::SetUpLibTorchForGpus();
  varserve::UseOneHeapArena();
  google::protobuf::SetLogHandler(nullptr);  // a message's sender learns what is wrong with it
  std::signal(SIGPIPE, SIG_IGN);             // the server does not end when the log's reader does
  const std::shared_ptr<varserve::Termination> termination = varserve::Termination::Catch();
  const absl::StatusOr<varserve::ServerConfig> config = varserve::ReadCommandLine(argc, argv);
  if (!config.ok()) return varserve::Fail(config.status());
  const auto logger = varserve::telemetry::Logger::Create(config->log_format, config->log_level);
  if (!logger.ok()) return varserve::Fail(logger.status());
  const varserve::rpc::GrpcLog grpc_log(logger->get());
  const int code = varserve::Run(*config, *termination, **logger);
  // After this the logger's thread may block if nobody reads standard error.
  if (!(*logger)->Flush(varserve::kLastWords)) std::_Exit(code);
  return code;
}
