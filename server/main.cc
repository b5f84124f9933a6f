// varserve-server: starts listening at once (live, not ready), loads the model, serves, drains on SIGTERM.
#include <prometheus/exposer.h>
#include <pthread.h>

#include <csignal>
#include <cstdio>
#include <ctime>
#include <exception>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/status_macros.h"
#include "server/config.h"
#include "server/passive_openmp.h"
#include "server/rpc/bearer_tokens.h"
#include "server/rpc/grpc_server.h"
#include "server/rpc/inference_service.h"
#include "server/serving.h"
#include "server/telemetry/logging.h"
#include "server/version.h"

namespace varserve {
namespace {

constexpr absl::Duration kCancelGrace =
    absl::Seconds(5);  // for calls to end with their status once the drain is over

// SIGTERM and SIGINT come to WaitForSignal only. Before any thread is started.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

bool WaitForSignal(const sigset_t& signals, absl::Duration timeout) {
  const timespec wait = absl::ToTimespec(timeout);
  return sigtimedwait(&signals, nullptr, &wait) > 0;
}

absl::StatusOr<std::unique_ptr<prometheus::Exposer>> StartExposer(const ServerConfig& config,
                                                                  Serving& serving) {
  if (config.metrics_listen.empty()) return nullptr;
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(config.metrics_listen);
    exposer->RegisterCollectable(serving.metrics().registry());
    return exposer;
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("--metrics_listen: cannot listen on ", config.metrics_listen, ": ", error.what()));
  }
}

absl::Status Run(int argc, char** argv) {
  const sigset_t signals = BlockSignals();
  ASSIGN_OR_RETURN(const ServerConfig config, ReadCommandLine(argc, argv));
  ASSIGN_OR_RETURN(const std::unique_ptr<telemetry::Logger> logger,
                   telemetry::Logger::Create(config.log_format, config.log_level));
  std::unique_ptr<rpc::BearerTokens> tokens;
  if (!config.token_file.empty()) {
    ASSIGN_OR_RETURN(tokens, rpc::BearerTokens::Load(config.token_file));
  }
  rpc::InferenceService service({.worker_threads = config.worker_threads,
                                 .write_timeout = config.write_timeout,
                                 .tokens = tokens.get()});
  ASSIGN_OR_RETURN(const std::unique_ptr<rpc::GrpcServer> server,
                   rpc::GrpcServer::Start(config.grpc, &service));
  logger->Info("listening", {{"version", kVersion}, {"port", static_cast<int64_t>(server->port())}});

  ASSIGN_OR_RETURN(const std::unique_ptr<Serving> serving, Serving::Load(config, logger.get()));
  ASSIGN_OR_RETURN(const std::unique_ptr<prometheus::Exposer> exposer, StartExposer(config, *serving));
  if (exposer != nullptr) {
    logger->Info("metrics", {{"path", "/metrics"}, {"port", int64_t{exposer->GetListeningPorts().front()}}});
  }
  engine::Engine& engine = serving->engine();
  service.Serve(serving->model());
  logger->Info("ready");

  // Tell health and metrics how the engine is, until a signal comes.
  bool healthy = true;
  server->SetHealth(/*live=*/true, /*ready=*/true);
  serving->metrics().OnHealth(/*ready=*/true, /*stuck=*/false);
  while (!WaitForSignal(signals, absl::Seconds(1))) {
    const bool stuck = engine.stuck(config.watchdog);
    if (healthy == !stuck) continue;
    healthy = !stuck;
    if (stuck) logger->Error("the engine is stuck: there is work, but no step ends");
    server->SetHealth(/*live=*/healthy, /*ready=*/healthy);
    serving->metrics().OnHealth(/*ready=*/healthy, stuck);
  }

  logger->Info("draining", {{"seconds", absl::ToDoubleSeconds(config.drain)}});
  server->SetHealth(/*live=*/true, /*ready=*/false);
  serving->metrics().OnHealth(/*ready=*/false, /*stuck=*/false);
  service.Refuse("the server is draining; try another replica");
  // A second signal ends it at once.
  std::thread([signals] {
    int received = 0;
    sigwait(&signals, &received);
    std::_Exit(0);
  }).detach();
  engine.Drain(absl::Now() + config.drain);
  server->Shutdown(absl::Now() + kCancelGrace);
  logger->Info("stopped");
  return absl::OkStatus();
}

}  // namespace
}  // namespace varserve

int main(int argc, char** argv) {
  varserve::UsePassiveOpenMp(argv);
  const absl::Status status = varserve::Run(argc, argv);
  if (status.ok()) return 0;
  std::fprintf(stderr, "varserve-server: %s\n", std::string(status.message()).c_str());
  return 1;
}
