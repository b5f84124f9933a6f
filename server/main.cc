// varserve-server: starts listening at once (live, not ready), loads the model, serves, drains on SIGTERM.
#include <google/protobuf/stubs/logging.h>
#include <prometheus/exposer.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/clock.h"
#include "server/base/status_macros.h"
#include "server/config.h"
#include "server/passive_openmp.h"
#include "server/rpc/bearer_tokens.h"
#include "server/rpc/grpc_server.h"
#include "server/rpc/inference_service.h"
#include "server/serving.h"
#include "server/telemetry/logging.h"
#include "server/telemetry/metrics.h"
#include "server/termination.h"
#include "server/version.h"

namespace varserve {
namespace {

// For calls to end with their status once the drain is over.
constexpr absl::Duration kCancelGrace = absl::Seconds(5);
constexpr int64_t kMaxWaitingMessages = 8;  // of the greatest size, until a worker reads them

absl::StatusOr<std::unique_ptr<prometheus::Exposer>> StartExposer(const ServerConfig& config,
                                                                  const telemetry::Metrics& metrics) {
  if (config.metrics_listen.empty()) return nullptr;
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(config.metrics_listen);
    exposer->RegisterCollectable(metrics.registry());
    return exposer;
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("--metrics_listen: cannot listen on ", config.metrics_listen, ": ", error.what()));
  }
}

absl::Status Run(int argc, char** argv) {
  const std::shared_ptr<Termination> termination = Termination::Catch();
  ASSIGN_OR_RETURN(const ServerConfig config, ReadCommandLine(argc, argv));
  ASSIGN_OR_RETURN(const std::unique_ptr<telemetry::Logger> logger,
                   telemetry::Logger::Create(config.log_format, config.log_level));
  std::unique_ptr<rpc::BearerTokens> tokens;
  if (!config.token_file.empty()) {
    ASSIGN_OR_RETURN(tokens, rpc::BearerTokens::Load(config.token_file));
  }
  const MonotonicClock clock;
  telemetry::Metrics metrics(config.model_name, kVersion);
  std::unique_ptr<Serving> serving;  // before the service, whose workers use it to their end
  rpc::InferenceService service(
      {.worker_threads = config.worker_threads,
       .max_preprocessing_bytes = kMaxWaitingMessages * config.grpc.max_message_bytes,
       .write_timeout = config.write_timeout,
       .tokens = tokens.get(),
       .metrics = &metrics,
       .logger = logger.get(),
       .clock = &clock});
  ASSIGN_OR_RETURN(const std::unique_ptr<rpc::GrpcServer> server,
                   rpc::GrpcServer::Start(config.grpc, &service));
  logger->Info("listening", {{"version", kVersion}, {"port", static_cast<int64_t>(server->port())}});
  if (const int port = server->health_port(); port != 0) logger->Info("health", {{"port", int64_t{port}}});

  // While the model loads, too: Prometheus is to tell a server that starts from one that is gone.
  ASSIGN_OR_RETURN(const std::unique_ptr<prometheus::Exposer> exposer, StartExposer(config, metrics));
  if (exposer != nullptr) {
    logger->Info("metrics", {{"path", "/metrics"}, {"port", int64_t{exposer->GetListeningPorts().front()}}});
  }

  ASSIGN_OR_RETURN(serving, Serving::Load(config, &clock, &metrics, logger.get()));
  engine::Engine& engine = serving->engine();
  termination->BeginServing();
  service.Serve(serving->model());
  server->SetHealth(/*live=*/true, /*ready=*/true);
  metrics.OnHealth(/*ready=*/true, /*stuck=*/false);
  logger->Info("ready");

  // Tell health and metrics how the engine is, until a signal comes.
  bool healthy = true;
  while (!termination->WaitFor(absl::Seconds(1))) {
    const bool stuck = engine.stuck(config.watchdog);
    if (healthy == !stuck) continue;
    healthy = !stuck;
    if (stuck) logger->Error("the engine is stuck: there is work, but no step ends");
    server->SetHealth(/*live=*/healthy, /*ready=*/healthy);
    metrics.OnHealth(/*ready=*/healthy, stuck);
  }

  logger->Info("draining", {{"seconds", absl::ToDoubleSeconds(config.drain)}});
  server->SetHealth(/*live=*/true, /*ready=*/false);
  metrics.OnHealth(/*ready=*/false, /*stuck=*/false);
  service.Refuse("the server is draining; try another replica");
  const bool drained = engine.Drain(clock.Now() + config.drain, kCancelGrace);
  server->Shutdown(absl::Now() + kCancelGrace);
  if (!drained) {
    logger->Error("stopped while a step hangs");
    std::_Exit(1);  // the engine's thread cannot be ended
  }
  logger->Info("stopped");
  return absl::OkStatus();
}

}  // namespace
}  // namespace varserve

int main(int argc, char** argv) {
  varserve::UsePassiveOpenMp(argv);
  google::protobuf::SetLogHandler(nullptr);  // what is wrong with a message its sender is told
  const absl::Status status = varserve::Run(argc, argv);
  if (status.ok()) return 0;
  std::fprintf(stderr, "varserve-server: %s\n", std::string(status.message()).c_str());
  return 1;
}
